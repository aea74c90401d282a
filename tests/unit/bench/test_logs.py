"""The benchmark's logs and its folds: three programs that were written apart and must agree."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from examples.shop import verify
from tests.bench.data import DAY_ONE_MS, PLACED, Data, Orders, Rows, Wide, expected, key_text, value
from tests.bench.merge import folded

LOGS = (Orders(), Orders(spread=True), Orders(cancels=False))
SIZE = 5_000


def named(data: Data, rows: Rows) -> Mapping[str, Mapping[str, object]]:
    """Rows as examples/shop/verify.py has them."""
    found = {}
    for key, row in rows.items():
        fields = dict(zip([name for name, _ in data.columns], [key_text(key), *row], strict=True))
        found[key_text(key)] = fields | {name: moment(fields[name]) for name in ("placed_at", "last_event_at")}
    return found


def moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("data", LOGS, ids=lambda data: f"{data.name}, {data.cancels}")
def test_the_fold_of_acts_is_the_examples_fold_of_json(data: Orders) -> None:
    rows: verify.Rows = {}
    for number, event in enumerate(data.events(SIZE)):
        at = moment(DAY_ONE_MS + number)
        assert at is not None
        verify.apply(rows, data.types[event[1].kind], json.loads(value(event, number)), at)
    assert len(rows) > 300
    assert named(data, expected(data, SIZE)) == rows


@pytest.mark.parametrize("data", [*LOGS, Wide(7)], ids=lambda data: data.name)
def test_the_same_seed_gives_the_same_log(data: Data) -> None:
    assert list(data.events(SIZE)) == list(data.events(SIZE))
    assert len(list(data.events(SIZE))) == SIZE


def test_a_seed_of_its_own_gives_another_log() -> None:
    assert list(Orders(seed=2).events(100)) != list(Orders(seed=1).events(100))


def test_events_are_as_large_and_as_many_per_key_as_documented() -> None:
    events = list(Orders().events(50_000))
    size = sum(len(value(event, number)) for number, event in enumerate(events)) / len(events)
    assert 205 < size < 235
    assert 9 < len(events) / len({key for key, _ in events}) < 11


def test_uniform_keys_come_over_the_whole_log() -> None:
    data = Orders(spread=True)
    first, last = (list(islice(data.events(SIZE), start, start + SIZE // 2)) for start in (0, SIZE // 2))
    assert len({key for key, _ in first} & {key for key, _ in last}) > 400


def test_an_order_begins_by_being_placed_where_its_events_are_close() -> None:
    seen: set[int] = set()
    for key, act in Orders().events(SIZE):
        assert key in seen or act.kind == PLACED
        seen.add(key)


def test_counters_add_up_or_are_set() -> None:
    data = Wide(3, per_key=2)
    rows: dict[int, list[int | None]] = {}
    for number, event in enumerate(data.events(1_000)):
        counted = json.loads(value(event, number))
        row = rows.setdefault(event[0], [0, None, 0])
        row[:] = [(row[0] or 0) + counted["c0"], counted["c1"], (row[2] or 0) + counted["c2"]]
    assert expected(data, 1_000) == rows


@pytest.mark.parametrize("batch", [1, 40, 300, 10_000])
@pytest.mark.parametrize("data", LOGS[:2], ids=lambda data: data.name)
def test_batches_for_the_merge_lead_to_the_fold(data: Orders, batch: int) -> None:
    table: dict[str, list[str]] = {}
    for lines in folded(data, SIZE, batch):
        keys = [text.split("\t")[0] for text in lines]
        assert keys == sorted(set(keys))
        for text in lines:
            merge(table, text.rstrip("\n").split("\t"))
    rows = {key: fields(row) for key, row in named(data, expected(data, SIZE)).items()}
    assert table == rows


def merge(table: dict[str, list[str]], source: list[str]) -> None:
    """What the statement does with one source row."""
    key, flag, *given = source
    old = table.get(key)
    if flag == "0":
        del table[key]
    elif flag == "2" or old is None:
        table[key] = given
    else:
        texts = [new if new != "\\N" else was for new, was in zip(given, old, strict=True)]
        texts[3:5] = [str(int(new) + int(was)) for new, was in zip(given[3:5], old[3:5], strict=True)]
        table[key] = texts


def fields(row: Mapping[str, object]) -> list[str]:
    texts = ["\\N" if f is None else f.isoformat() if isinstance(f, datetime) else str(f) for f in row.values()]
    return texts[1:]
