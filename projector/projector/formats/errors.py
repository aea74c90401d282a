"""What goes wrong with a format: the data, the registry, or the installation."""

from projector.expr.errors import EvalError
from projector.ports import SourceUnavailable


class Undecodable(EvalError):
    """A value that its format or its schema cannot read: bad data. The text is for people and holds no data."""


class SchemaRegistryUnavailable(SourceUnavailable):
    """The registry cannot be asked or does not answer as one: back off and try again, this says nothing of the data."""


class MissingExtra(Exception):
    """A format whose library is not installed; the text names the extra to install."""
