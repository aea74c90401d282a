"""How the value of a record becomes an event: JSON by itself, Avro and Protobuf by schemas of a registry."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from projector.formats.errors import MissingExtra
from projector.formats.json_text import Json
from projector.formats.registry import SchemaRegistry

__all__ = ["Format", "open_format"]


class Format(Protocol):
    """Bytes to an event.

    Values are of exactly these types: None, bool, int, float, str, list, dict with str keys, and, never in JSON,
    Decimal (Avro), datetime in UTC with microseconds (Avro, Protobuf) and date (Avro). An int may be beyond 64 bits,
    a float may be NaN or infinite, and text may hold NUL. Bytes are base64 text.
    """

    def decode(self, value: bytes) -> dict[str, Any]:
        """The event. Raises Undecodable (bad data) or SchemaRegistryUnavailable (try again); may block on the latter.

        A field that the writer's schema does not have is not in the dict.
        """
        ...


_WITH_REGISTRY = {"Avro": ("avro", "Avro"), "Protobuf": ("protobuf", "Protobuf")}


def open_format(name: str, registry: SchemaRegistry | None = None) -> Format:
    """The format that a definition calls `name`; all but JSON need the registry.

    Raises MissingExtra where the library of the format is not installed.
    """
    if name == "JSON":
        return Json()
    module, adapter = _WITH_REGISTRY[name]
    try:
        make: Callable[[SchemaRegistry | None], Format] = getattr(import_module(f"{__name__}.{module}"), adapter)
    except ModuleNotFoundError:
        raise MissingExtra(f"format {name} needs a library: pip install 'projection-operator[{module}]'") from None
    return make(registry)
