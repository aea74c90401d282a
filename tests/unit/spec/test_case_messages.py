"""What a user reads whose `tests` name what there is not. Tests are checked where a file is read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from projector.spec.load import load_file, load_spec
from projector.spec.problems import InvalidSpec
from tests.support.specs import spec_data

GIVEN = {"type": "E", "value": {"id": "1"}}


def found(tmp_path: Path, case: dict[str, Any]) -> list[str]:
    head = {"apiVersion": "projections.dev/v1alpha1", "kind": "Projection", "metadata": {"name": "p"}}
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(head | {"spec": spec_data() | {"tests": [case]}}), encoding="utf-8")
    try:
        load_file(file)
    except InvalidSpec as error:
        return [str(problem) for problem in error.problems]
    return []


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"given": [GIVEN], "then": [{"id": "1", "total": 0, "at": "2026-01-31T12:00:00Z", "data": [1], "name": None}]},
        [],
    ),
    ({"given": [], "then": []}, []),
    ({"given": [GIVEN], "parked": [{"id": "1"}]}, []),
    ({"given": [GIVEN]}, ["spec.tests[0]: tests nothing: give it then (may be an empty list) or parked"]),
    (
        {"given": [{"type": "E"}], "then": []},
        ["spec.tests[0].given[0].value: is missing; a record without a value has type: (tombstone)"],
    ),
    (
        {"given": [{"type": "(tombstone)", "value": {}}], "then": []},
        ["spec.tests[0].given[0].value: a (tombstone) has no value: remove it, or name the event's type"],
    ),
    (
        {"given": [GIVEN | {"version": 2}], "then": []},
        ["spec.tests[0].given[0].version: spec.source.kafka.eventVersion does not say where a version stands"],
    ),
    (
        {"given": [GIVEN | {"topic": "order"}], "then": []},
        ["spec.tests[0].given[0].topic: `order` is no topic of the source; did you mean `orders`?"],
    ),
    (
        {"given": [GIVEN | {"timestamp": "today"}], "then": []},
        ["spec.tests[0].given[0].timestamp: is not an RFC 3339 timestamp with an offset, such as 2026-01-31T12:00:00Z"],
    ),
    (
        {"given": [], "then": [{"id": "1", "nmae": "x"}]},
        ["spec.tests[0].then[0].nmae: column `nmae` is not declared; did you mean `name`?"],
    ),
    (
        {"given": [], "then": [{"name": "x"}]},
        ["spec.tests[0].then[0]: the key column `id` is missing: it says which row is meant"],
    ),
    (
        {"given": [], "then": [{"id": "1"}, {"id": "2"}, {"id": "1"}]},
        ["spec.tests[0].then[2]: has the key of spec.tests[0].then[0]"],
    ),
    (
        {"given": [], "then": [{"id": 1}]},
        ["spec.tests[0].then[0].id: 1 is no value of a text column; put it in quotes: '1'"],
    ),
    (
        {"given": [], "then": [{"id": "1", "total": "many"}]},
        ["spec.tests[0].then[0].total: 'many' is no value of a bigint column"],
    ),
    (
        {"given": [], "then": [{"id": "1", "small": 40000}]},
        ["spec.tests[0].then[0].small: '40000' is out of range for smallint (-32768 to 32767)"],
    ),
    (
        {"given": [], "then": [{"id": "1", "flag": 1}]},
        ["spec.tests[0].then[0].flag: 1 is no value of a boolean column"],
    ),
    (
        {"given": [], "then": [{"id": "1", "total": True}]},
        ["spec.tests[0].then[0].total: True is no value of a bigint column"],
    ),
    (
        {"given": [], "parked": [{"id": "1", "name": "x"}]},
        ["spec.tests[0].parked[0].name: column `name` is no key column"],
    ),
]


@pytest.mark.parametrize(("case", "messages"), CASES)
def test_cases_are_checked_against_the_columns(tmp_path: Path, case: dict[str, Any], messages: list[str]) -> None:
    assert found(tmp_path, case) == messages


def test_dates_need_no_quotes_as_with_kubectl(tmp_path: Path) -> None:
    document = yaml.safe_dump(
        {"apiVersion": "projections.dev/v1alpha1", "kind": "Projection", "metadata": {"name": "p"}}
    )
    tests = [{"given": [], "then": [{"id": "1", "at": "@at", "day": "@day"}]}]
    text = document + yaml.safe_dump({"spec": spec_data() | {"tests": tests}})
    file = tmp_path / "p.yaml"
    file.write_text(text.replace("'@at'", "2026-01-31T12:00:00Z").replace("'@day'", "2026-01-31"), encoding="utf-8")
    (case,) = load_file(file)[2].tests
    assert case.then == ({"id": "1", "at": "2026-01-31T12:00:00Z", "day": "2026-01-31"},)


def test_a_wrong_test_does_not_stop_what_runs() -> None:
    assert load_spec(spec_data() | {"tests": [{"given": [], "then": [{"nmae": "x"}]}]}).tests
