"""What a user reads when expressions of a spec do not fit its columns."""

from typing import Any

import pytest

from projector.fold.validate import validate
from projector.spec.load import load_spec
from projector.spec.problems import InvalidSpec
from tests.support.specs import spec_data

CASES: list[tuple[dict[str, Any], str]] = [
    ({"set": {"name": "event.qty *"}}, "spec.rules[0].set.name, column 12: the expression ends too early"),
    ({"set": {"name": "1"}}, "spec.rules[0].set.name, column 1: `1` is int; column `name` is text: use string()"),
    (
        {"increment": {"total": "event.qty * 1.5"}},
        "spec.rules[0].increment.total, column 1: `event.qty * 1.5` is double; column `total` is bigint: use int()",
    ),
    (
        {"increment": {"total": "null"}},
        "spec.rules[0].increment.total, column 1: `null` is null; column `total` is bigint",
    ),
    (
        {"set": {"ratio": "1"}},
        "spec.rules[0].set.ratio, column 1: `1` is int; column `ratio` is double precision: use double()",
    ),
    ({"set": {"flag": "'yes'"}}, "spec.rules[0].set.flag, column 1: `'yes'` is text; column `flag` is boolean"),
    (
        {"set": {"at": "meta.offset"}},
        "spec.rules[0].set.at, column 1: `meta.offset` is int; column `at` is timestamptz: use timestamp()",
    ),
    (
        {"set": {"day": "meta.timestamp"}},
        "spec.rules[0].set.day, column 1: `meta.timestamp` is timestamp; column `day` is date",
    ),
    ({"set": {"ref": "1"}}, "spec.rules[0].set.ref, column 1: `1` is int; column `ref` is uuid"),
    (
        {"set": {"data": "[meta.timestamp]", "name": "meta.timestamp"}},
        "spec.rules[0].set.name, column 1: `meta.timestamp` is timestamp; column `name` is text: use string()",
    ),
    (
        {"when": "event.qty + 1", "delete": True},
        "spec.rules[0].when, column 1: `event.qty + 1` is int; a condition takes bool",
    ),
    (
        {"key": {"id": "meta.ky"}, "delete": True},
        "spec.rules[0].key.id, column 6: meta has no field `ky`; did you mean `key`?",
    ),
]


@pytest.mark.parametrize(("parts", "message"), CASES, ids=[message.split(":")[0] for _, message in CASES])
def test_problem_names_rule_column_and_place(parts: dict[str, Any], message: str) -> None:
    rule = {"events": ["E"], "key": {"id": "event.id"}, **parts}
    with pytest.raises(InvalidSpec) as caught:
        validate(load_spec(spec_data(rules=[rule])))
    assert [str(problem) for problem in caught.value.problems] == [message]


def test_all_expressions_are_looked_at() -> None:
    rules = [
        {"events": ["E"], "key": {"id": "x"}, "set": {"name": "y", "at": "event.at"}},
        {"events": ["F"], "key": {"id": "event.id"}, "when": "1", "set": {"name": "event.name"}},
    ]
    with pytest.raises(InvalidSpec) as caught:
        validate(load_spec(spec_data(rules=rules)))
    assert [problem.path for problem in caught.value.problems] == [
        "spec.rules[0].key.id",
        "spec.rules[0].set.name",
        "spec.rules[1].when",
    ]
