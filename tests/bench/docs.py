"""Puts the figures of the reports into docs/benchmarks.md, between its marks, and the charts beside it."""

from pathlib import Path

from tests.bench.chart import Bar, Line, bars, lines
from tests.bench.curves import CURVES
from tests.bench.report import OURS, Report, markdown, read

DOCS = Path(__file__).parents[2] / "docs"


def write(engine: Path, growth: Path) -> None:
    """Write what there are reports for."""
    page = DOCS / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    if engine.exists():
        report = read(engine)
        text = replaced(text, "engine", f"![rates](benchmarks.svg)\n\n{markdown(report)}")
        (DOCS / "benchmarks.svg").write_text(_rates(report), encoding="utf-8")
    if growth.exists():
        report = read(growth)
        text = replaced(text, "curves", f"![how cost grows](benchmarks-curves.svg)\n\n{markdown(report)}")
        (DOCS / "benchmarks-curves.svg").write_text(_growth(report), encoding="utf-8")
    page.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, content: str) -> str:
    """The text with other content between the marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, _, rest = text.partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"docs/benchmarks.md has no marks {begin} and {end}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def _rates(report: Report) -> str:
    rates = [entry for entry in report.entries if entry["name"] == "rate"]
    groups = []
    for data in dict.fromkeys(entry["data"] for entry in rates):
        found = [
            Bar(f"{e['contender']}, {e['processes']}", e["value"], e["contender"] == OURS)
            for e in rates
            if e["data"] == data
        ]
        groups.append((str(data), found))
    return bars(groups, "events per second")


def _growth(report: Report) -> str:
    panels = []
    for curve, title in CURVES.items():
        points = [(entry["at"], entry["value"]) for entry in report.entries if entry.get("curve") == curve]
        if points:
            panels.append(Line(title, points))
    return lines(panels, "events/s")
