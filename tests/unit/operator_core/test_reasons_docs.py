"""The documented list of reasons is the code's."""

import re
from pathlib import Path

from projection_operator.core.reasons import Reason

PAGE = Path(__file__).parents[3] / "docs" / "resource.md"


def test_each_reason_is_explained_and_none_is_invented() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Reasons, and what to do")[2].partition("\n## ")[0]
    tables, _, names = section.partition("### On the way, or arrived")
    cells = re.findall(r"^\| (`.*?) \|", tables, re.MULTILINE)
    named = [name for text in (*cells, names) for name in re.findall(r"`(\w+)`", text)]
    assert sorted(named) == sorted(Reason)
