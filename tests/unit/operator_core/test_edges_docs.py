"""The documented table of edges is the code's."""

from pathlib import Path

from projection_operator.core.edges import EDGES
from projection_operator.edge_docs import MEANING, edges_markdown

PAGE = Path(__file__).parents[3] / "docs" / "edges.md"


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == edges_markdown(), "write docs/edges.md anew: make crds"


def test_each_row_is_explained_and_none_is_invented() -> None:
    assert list(MEANING) == [edge.name for edge in EDGES]


def test_reasons_and_acts_are_read_from_the_code() -> None:
    rows = {line.split(" | ")[1]: line for line in edges_markdown().splitlines() if line[:3].strip("| ").isdecimal()}
    assert rows["caught up"].endswith("| `Swapping` | `Swap` |")
    assert rows["candidate, aborted"].endswith("| `Abandoning` | `Abandon` |")
    assert rows["deleting, entries left"].endswith("| `Deleting` | `RemoveDeployment`, `DeleteProjection` |")
    assert rows["rollback, log does not fit"].endswith("| *what hinders* | none |")
    assert rows["no build, given up before"].endswith("| **`Aborted`**, **`Rejected`** | none |")
