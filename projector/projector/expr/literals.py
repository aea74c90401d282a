"""Values of literal tokens."""

import re

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "'": "'",
    "`": "`",
    "?": "?",
    "\\": "\\",
}
_TRIPLE = ('"""', "'''")


def integer(token: str) -> int:
    """Value of an integer literal. Raises ValueError where it does not fit 64 bits."""
    value = int(token, 16 if "0x" in token else 10)
    if not INT64_MIN <= value <= INT64_MAX:
        raise ValueError(f"{token} does not fit a 64-bit int")
    return value


def double(token: str) -> float:
    """Value of a double literal. Raises ValueError where it is beyond the range."""
    value = float(token)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{token} does not fit a double")
    return value


def string(token: str) -> str:
    """Value of a string literal with its quotes. Raises ValueError for an escape that CEL does not know."""
    raw = token[0] in "rR"
    quoted = token[1:] if raw else token
    width = 3 if quoted.startswith(_TRIPLE) else 1
    body = quoted[width:-width]
    return body if raw else _ESCAPE.sub(_unescape, body)


def _unescape(match: re.Match[str]) -> str:
    code = match.group()[1:]
    if code in _SIMPLE:
        return _SIMPLE[code]
    if code[0] in "xuU" and len(code) > 1:
        return _character(int(code[1:], 16), match.group())
    if len(code) > 1:
        return _character(int(code, 8), match.group())
    raise ValueError(f"escape {match.group()} is not known")


def _character(code: int, escape: str) -> str:
    try:
        character = chr(code)
        character.encode()
    except (ValueError, OverflowError):
        raise ValueError(f"escape {escape} is not a character") from None
    return character
