"""What is wrong with a spec, in words that a user can act on."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a spec.

    `path` is the field as in YAML (`spec.rules[2].set.total`); `position` is the 1-based column inside an expression.
    """

    path: str
    message: str
    position: int | None = None

    def __str__(self) -> str:
        where = self.path if self.position is None else f"{self.path}, column {self.position}"
        return f"{where}: {self.message}"


class InvalidSpec(Exception):
    """A spec that cannot be built; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


def near(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is close, else nothing."""
    matches = get_close_matches(name, list(names), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""
