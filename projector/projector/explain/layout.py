"""Text for a terminal: wrapped so that it reads well, and can still be copied."""

import re
import textwrap
from collections.abc import Iterable, Iterator

WIDTH = 100

_WORD = re.compile(r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s'"])+|['"]""")
"""A run without a space, or with one only in quotes: a line that breaks in a literal says something else."""


def heading(text: str) -> list[str]:
    """A section's title."""
    return ["", text, "-" * len(text)]


def labelled(label: str, lines: Iterable[str], *, indent: int = 4, width: int = 10) -> Iterator[str]:
    """`label  first line`, the other lines below the first."""
    first, rest = " " * indent + label.ljust(width), " " * (indent + width)
    for line in lines:
        yield from wrapped(line, first, rest)
        first = rest


def wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Prose or an expression, in lines of at most WIDTH where its words allow it."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest + "  ", break_long_words=False, break_on_hyphens=False
    )


def code(text: str, indent: str = "  ") -> Iterator[str]:
    """Source text; lines that are too long are broken between words, never inside quotes."""
    for line in text.splitlines():
        own = indent + line[: len(line) - len(line.lstrip())]
        current = own
        for word in _WORD.findall(line):
            if len(current) + len(word) >= WIDTH and current.strip():
                yield current.rstrip()
                current = own + "    "
            current += word + " "
        yield current.rstrip()
