"""Functions on text at run time. Positions and sizes count characters. They raise EvalError.

`names` are the source texts of the arguments, and of the whole call at the end.
"""

from collections.abc import Callable
from typing import Any

import re2

from projector.expr.errors import EvalError
from projector.expr.runtime import wrong

Names = tuple[str, ...]
Search = Callable[[bytes], object]

_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Unicode calls white space; str.strip() would take control characters besides."""
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UPPER = {lower: upper for upper, lower in _LOWER.items()}


def search(pattern: str) -> Search:
    """A function that finds the pattern in UTF-8 text, in time linear in the text. Raises ValueError, in words.

    Works on bytes: positions, which the text form would count, are not asked for.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        found: Search = re2.compile(pattern.encode(), options).search
    except re2.error as error:
        raise ValueError(f"is no RE2 pattern: {error.args[0].decode()}") from None
    return found


def matches(value: Any, pattern: Search, names: Names) -> bool:
    """Whether the pattern is found anywhere in text."""
    return pattern(_text(value, names[0]).encode()) is not None


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise wrong(value, what, "text")
    return value


def _int(value: Any, what: str) -> int:
    if type(value) is not int:
        raise wrong(value, what, "int")
    return value


def _test(test: Callable[[str, str], bool]) -> Callable[[Any, Any, Names], bool]:
    def call(value: Any, part: Any, names: Names) -> bool:
        return test(_text(value, names[0]), _text(part, names[1]))

    return call


starts_with = _test(str.startswith)
ends_with = _test(str.endswith)
contains = _test(str.__contains__)


def lower_ascii(value: Any, what: str) -> str:
    """A to Z in lower case."""
    return _text(value, what).translate(_LOWER)


def upper_ascii(value: Any, what: str) -> str:
    """A to Z in upper case."""
    return _text(value, what).translate(_UPPER)


def trim(value: Any, what: str) -> str:
    """Text without white space around it."""
    return _text(value, what).strip(_SPACE)


def split(value: Any, separator: Any, *rest: Any) -> list[str]:
    """Parts between separators, or the characters; at most `limit` parts, of which the last holds what is left."""
    *limits, names = rest
    text, between = _text(value, names[0]), _text(separator, names[1])
    limit = _int(limits[0], names[2]) if limits else -1
    if limit == 0:
        return []
    if between:
        return text.split(between, limit - 1 if limit > 0 else -1)
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


def join(parts: Any, *rest: Any) -> str:
    """Texts of a list in one."""
    *separators, names = rest
    if type(parts) is not list:
        raise wrong(parts, names[0], "list")
    between = _text(separators[0], names[1]) if separators else ""
    return between.join([_text(part, f"an element of {names[0]}") for part in parts])


def replace(value: Any, old: Any, new: Any, *rest: Any) -> str:
    """Text with `new` for `old`, at most `limit` times."""
    *limits, names = rest
    limit = _int(limits[0], names[3]) if limits else -1
    return _text(value, names[0]).replace(_text(old, names[1]), _text(new, names[2]), limit)


def substring(value: Any, start: Any, *rest: Any) -> str:
    """Characters from `start` to before `end`."""
    *ends, names = rest
    text, first = _text(value, names[0]), _int(start, names[1])
    last = _int(ends[0], names[2]) if ends else len(text)
    if not 0 <= first <= last <= len(text):
        raise EvalError(f"{names[-1]} is beyond the {len(text)} characters of {names[0]}")
    return text[first:last]


def index_of(value: Any, part: Any, *rest: Any) -> int:
    """Where `part` is found first, from `offset` on; -1 where it is not."""
    *offsets, names = rest
    text, wanted = _text(value, names[0]), _text(part, names[1])
    offset = _int(offsets[0], names[2]) if offsets else 0
    if offset < 0:
        raise EvalError(f"{names[2]} is below 0")
    return text.find(wanted, offset) if wanted else min(offset, len(text))
