"""The served functions: how each is written, what it takes and gives, and which Python function does it."""

from dataclasses import dataclass
from typing import Literal

from projector.expr.types import Type

Form = Literal["call", "method", "either"]


@dataclass(frozen=True, slots=True)
class Function:
    """A served function: the types that each argument accepts; the last `optional` ones may be left out."""

    params: tuple[frozenset[Type], ...]
    result: Type
    python: str
    form: Form
    optional: int = 0

    def takes(self, form: Literal["call", "method"]) -> bool:
        """Whether it may be written that way."""
        return self.form in (form, "either")

    def arity(self, written: Literal["call", "method"]) -> str:
        """How many arguments stand in the brackets, in words."""
        most = len(self.params) - (written == "method")
        counts = " or ".join(str(count) for count in range(most - self.optional, most + 1))
        return f"{counts} argument{'' if counts == '1' else 's'}"


def _types(*types: Type) -> frozenset[Type]:
    return frozenset(types)


_TEXT = _types(Type.STRING)
_INT = _types(Type.INT)
_TIME = _types(Type.TIMESTAMP)
_EITHER_TIME = _types(Type.TIMESTAMP, Type.DURATION)

ACCESSORS: dict[str, tuple[str, bool]] = {
    "getFullYear": ("get_full_year", False),
    "getMonth": ("get_month", False),
    "getDate": ("get_date", False),
    "getDayOfMonth": ("get_day_of_month", False),
    "getDayOfWeek": ("get_day_of_week", False),
    "getDayOfYear": ("get_day_of_year", False),
    "getHours": ("get_hours", True),
    "getMinutes": ("get_minutes", True),
    "getSeconds": ("get_seconds", True),
    "getMilliseconds": ("get_milliseconds", True),
}
"""Parts of a timestamp, in UTC or in the zone given: the Python function, and whether a duration has the part too."""


def _conversion(result: Type, python: str, *types: Type) -> Function:
    return Function((_types(*types),), result, python, "call")


def _method(result: Type, python: str, *params: frozenset[Type], optional: int = 0) -> Function:
    return Function(params, result, python, "method", optional)


FUNCTIONS: dict[str, Function] = {
    "size": Function((_types(Type.STRING, Type.LIST, Type.MAP),), Type.INT, "size", "either"),
    "startsWith": _method(Type.BOOL, "starts_with", _TEXT, _TEXT),
    "endsWith": _method(Type.BOOL, "ends_with", _TEXT, _TEXT),
    "contains": _method(Type.BOOL, "contains", _TEXT, _TEXT),
    "matches": Function((_TEXT, _TEXT), Type.BOOL, "matches", "either"),
    "lowerAscii": _method(Type.STRING, "lower_ascii", _TEXT),
    "upperAscii": _method(Type.STRING, "upper_ascii", _TEXT),
    "trim": _method(Type.STRING, "trim", _TEXT),
    "split": _method(Type.LIST, "split", _TEXT, _TEXT, _INT, optional=1),
    "join": _method(Type.STRING, "join", _types(Type.LIST), _TEXT, optional=1),
    "replace": _method(Type.STRING, "replace", _TEXT, _TEXT, _TEXT, _INT, optional=1),
    "substring": _method(Type.STRING, "substring", _TEXT, _INT, _INT, optional=1),
    "indexOf": _method(Type.INT, "index_of", _TEXT, _TEXT, _INT, optional=1),
    "int": _conversion(Type.INT, "to_int", Type.INT, Type.DOUBLE, Type.STRING, Type.TIMESTAMP),
    "double": _conversion(Type.DOUBLE, "to_double", Type.INT, Type.DOUBLE, Type.STRING),
    "bool": _conversion(Type.BOOL, "to_bool", Type.BOOL, Type.STRING),
    "string": _conversion(
        Type.STRING,
        "to_string",
        Type.STRING,
        Type.INT,
        Type.DOUBLE,
        Type.BOOL,
        Type.TIMESTAMP,
        Type.DURATION,
    ),
    "timestamp": _conversion(Type.TIMESTAMP, "to_timestamp", Type.STRING, Type.INT, Type.TIMESTAMP),
    "duration": _conversion(Type.DURATION, "to_duration", Type.STRING, Type.DURATION),
    **{
        name: _method(Type.INT, python, _EITHER_TIME if of_durations else _TIME, _TEXT, optional=1)
        for name, (python, of_durations) in ACCESSORS.items()
    },
}
