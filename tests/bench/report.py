"""What was measured, for scripts (build/reports/*.json) and for people (a table)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.product import Replayed
from tests.bench.run import Result

FOLDER = Path(__file__).parents[2] / "build" / "reports"
OURS, LIMIT, MERGE, PLAIN = "projection-operator", "hand-tuned limit", "COPY + MERGE alone", "plain consumer"
Entry = dict[str, Any]


@dataclass
class Report:
    """A list of `{"name", "value", "unit", "bound", "holds"}` with fields of their own."""

    path: Path
    entries: list[Entry] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, **more: Any) -> Entry:
        """A figure without a bound."""
        self.entries.append({"name": name, "value": round(value, 3), "unit": unit, "bound": None, "holds": True} | more)
        return self.entries[-1]

    def at_most(self, name: str, value: float, unit: str, bound: float, **more: Any) -> None:
        """A figure that must not be above its bound."""
        self.add(name, value, unit, **more).update(bound=bound, holds=value <= bound)

    def at_least(self, name: str, value: float, unit: str, bound: float, **more: Any) -> None:
        """A figure that must not be below its bound."""
        self.add(name, value, unit, **more).update(bound=bound, holds=value >= bound)

    def run(self, contender: str, data: str, processes: int, result: Result) -> None:
        """A contender's figures."""
        per_million = 1e6 / result.events
        more: Entry = {
            "contender": contender,
            "data": data,
            "processes": processes,
            "events": result.events,
            "seconds": round(result.seconds, 2),
            "cpu_s_per_million": round(result.cpu * per_million, 2),
            "postgres_cpu_s_per_million": round(result.servers.postgres * per_million, 2),
            "kafka_cpu_s_per_million": round(result.servers.kafka * per_million, 2),
            "peak_mib": round(result.peak_mib),
        }
        if isinstance(result, Replayed):
            more |= {"batches": result.batches, "rows": result.rows}
        self.add("rate", result.rate, "events/s", **more)

    def rate(self, contender: str, data: str, processes: int = 1) -> float:
        """The rate of a run; 0 where there was none."""
        for entry in self.entries:
            if (entry.get("contender"), entry.get("data"), entry.get("processes")) == (contender, data, processes):
                return float(entry["value"])
        return 0.0

    def write(self) -> None:
        """Write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.entries, indent=2) + "\n", encoding="utf-8")

    @property
    def holds(self) -> bool:
        """Whether no bound was missed."""
        return all(entry["holds"] for entry in self.entries)


def read(path: Path) -> Report:
    """A report that was written."""
    return Report(path, json.loads(path.read_text(encoding="utf-8")))


def markdown(report: Report) -> str:
    """All figures as Markdown tables; they read well in a terminal too."""
    rates = [entry for entry in report.entries if entry["name"] == "rate"]
    parts = [_table(_RATES, _rates(report, entries)) for entries in _by_data(rates) if entries]
    bounds = [entry for entry in report.entries if entry["name"] != "rate"]
    return "\n\n".join([*parts, _table(_FIGURES, map(_figure, bounds))])


_RATES = (
    *("data", "contender", "processes", "events/s", "of the limit", "of the plain"),
    *("CPU-s/M", "+ PostgreSQL", "+ Kafka", "peak MiB"),
)
_FIGURES = ("figure", "value", "unit", "bound", "holds")


def _by_data(rates: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for data in dict.fromkeys(entry["data"] for entry in rates):
        yield [entry for entry in rates if entry["data"] == data]


def _rates(report: Report, entries: Sequence[Entry]) -> Iterator[Sequence[str]]:
    for entry in entries:
        data, processes = entry["data"], entry["processes"]
        limit, plain = report.rate(LIMIT, data, processes), report.rate(PLAIN, data)
        yield (
            data,
            entry["contender"],
            str(processes),
            f"{entry['value']:,.0f}",
            f"{entry['value'] / limit:.2f}" if limit else "",
            f"{entry['value'] / plain:.1f}x" if plain else "",
            *(_number(entry, name) for name in _COSTS),
        )


_COSTS = ("cpu_s_per_million", "postgres_cpu_s_per_million", "kafka_cpu_s_per_million", "peak_mib")


def _number(entry: Mapping[str, Any], name: str) -> str:
    return f"{entry[name]:g}" if name in entry else ""


def _figure(entry: Entry) -> Sequence[str]:
    bound = "" if entry["bound"] is None else f"{entry['bound']:g}"
    holds = "" if entry["bound"] is None else "yes" if entry["holds"] else "**no**"
    return entry["name"], f"{entry['value']:,.6g}", entry["unit"], bound, holds


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = list(rows)
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return "\n".join(
        [_line(head, widths), _line(["-" * width for width in widths], widths), *(_line(r, widths) for r in body)]
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
