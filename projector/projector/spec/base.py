"""The base of all models of a spec, and of what is kept of it."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """camelCase in YAML, unknown fields refused, values immutable."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


Duration = Annotated[str, Field(pattern=r"^([0-9]{1,6}(ms|s|m|h))+$", max_length=20)]
"""A length of time as Kubernetes writes it: 300ms, 30m, 1h30m."""

_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_UNIT = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}


def length(duration: str) -> timedelta:
    """How long a `Duration` is."""
    return sum((timedelta(**{_UNIT[unit]: int(count)}) for count, unit in _PART.findall(duration)), timedelta())
