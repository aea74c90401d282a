"""Timestamps and durations at run time: notation, zones, and parts. Both are exact to the microsecond."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from projector.expr.errors import EvalError
from projector.expr.runtime import MAX_DURATION, parsed, wrong
from projector.expr.types import near

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(rf"([0-9]*)(?:\.([0-9]*))?({'|'.join(_UNITS)})(?![a-zµμ])")
_OFFSET = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{1,2})")
_DIGITS: Final = 19


def parse_duration(text: str) -> timedelta:
    """A duration such as `1h30m` or `-1.5s`, cut to the microsecond. Raises ValueError, in words."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    nanoseconds, position = 0, 0
    while position < len(unsigned) and unsigned != "0":
        part = _PART.match(unsigned, position)
        if part is None or not (part[1] or part[2]):
            raise _no_duration()
        nanoseconds += _nanoseconds(part[1].lstrip("0"), part[2] or "", _UNITS[part[3]])
        position = part.end()
    if not unsigned:
        raise _no_duration()
    result = timedelta(microseconds=nanoseconds // 1000)
    return -result if text[0] == "-" else result


def _no_duration() -> ValueError:
    return ValueError("is not a duration, such as 1h30m or 1.5s")


def _nanoseconds(whole: str, fraction: str, unit: int) -> int:
    if len(whole) <= _DIGITS:
        result = int(whole or "0") * unit + int(fraction[:_DIGITS].ljust(_DIGITS, "0")) * unit // 10**_DIGITS
        if result // 1000 <= MAX_DURATION // timedelta(microseconds=1):
            return result
    raise ValueError("is beyond the longest duration, about 292 years")


def duration_text(value: timedelta) -> str:
    """Seconds with an `s`: `5400s`, `-1.5s`."""
    seconds, microseconds = divmod(abs(value) // timedelta(microseconds=1), 10**6)
    fraction = f".{microseconds:06}".rstrip("0").rstrip(".")
    return f"{'-' if value < timedelta(0) else ''}{seconds}{fraction}s"


@lru_cache(maxsize=1024)
def parse_zone(name: str) -> tzinfo:
    """A zone by its name, such as `Europe/Berlin`, or by its offset, such as `+01:00`. Raises ValueError, in words."""
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        return _named_zone(name)
    hours, minutes = int(offset[2]), int(offset[3])
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - of a clock
        raise ValueError("is beyond 23:59 as an offset")
    east = timedelta(hours=hours, minutes=minutes)
    return timezone(-east if offset[1] == "-" else east)


def _named_zone(name: str) -> tzinfo:
    names = _zone_names()
    if name not in names:
        raise ValueError(f"is no time zone{near(name, names)}")
    return ZoneInfo(name)


_zone_names = cache(available_timezones)


def zone(name: Any, what: str) -> tzinfo:
    """A zone that only the event names."""
    if type(name) is not str:
        raise wrong(name, what, "text")
    return parsed(parse_zone, name, what)


def _in_zone(value: datetime, place: tzinfo, what: str) -> datetime:
    if place is UTC:
        return value
    try:
        return value.astimezone(place)
    except OverflowError:
        raise EvalError(f"{what} is beyond the years 1 to 9999 in that zone") from None


Part = Callable[..., int]


def _of_timestamp(read: Callable[[datetime], int]) -> Part:
    def part(value: Any, *rest: Any) -> int:
        *places, names = rest
        if type(value) is not datetime:
            raise wrong(value, names[0], "timestamp")
        return read(_in_zone(value, places[0], names[0]) if places else value)

    return part


def _of_both(read: Callable[[datetime], int], unit: timedelta) -> Part:
    of_timestamp = _of_timestamp(read)

    def part(value: Any, *rest: Any) -> int:
        if type(value) is not timedelta:
            if type(value) is not datetime:
                raise wrong(value, rest[-1][0], "timestamp or duration")
            return of_timestamp(value, *rest)
        if len(rest) > 1:
            raise EvalError(f"{rest[-1][0]} is duration, which has no time zone")
        return value // unit if value >= timedelta(0) else -(-value // unit)

    return part


get_full_year = _of_timestamp(lambda time: time.year)
get_month = _of_timestamp(lambda time: time.month - 1)
get_date = _of_timestamp(lambda time: time.day)
get_day_of_month = _of_timestamp(lambda time: time.day - 1)
get_day_of_week = _of_timestamp(lambda time: time.isoweekday() % 7)
get_day_of_year = _of_timestamp(lambda time: time.timetuple().tm_yday - 1)
get_hours = _of_both(lambda time: time.hour, timedelta(hours=1))
get_minutes = _of_both(lambda time: time.minute, timedelta(minutes=1))
get_seconds = _of_both(lambda time: time.second, timedelta(seconds=1))
get_milliseconds = _of_both(lambda time: time.microsecond // 1000, timedelta(milliseconds=1))
