"""What a user reads when fields of a spec do not fit each other."""

from typing import Any

import pytest

from tests.support.specs import COLUMNS, problems, spec_data

KEY = {"id": "event.id"}
LONG = "ä" * 32
TARGET = "spec.target.postgresql"


def rule(**parts: Any) -> dict[str, Any]:
    return {"events": ["E"], "key": KEY, **parts}


RULES: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([rule(set={"nmae": "1"})], ["spec.rules[0].set.nmae: column `nmae` is not declared; did you mean `name`?"]),
    ([rule(set={"id": "1"})], ["spec.rules[0].set.id: `id` is a key column: its value is given under key"]),
    ([rule()], ["spec.rules[0]: the rule does nothing: give it set, increment, min, max, append or delete"]),
    (
        [rule(delete=True, set={"name": "event.x"})],
        ["spec.rules[0].delete: a rule that deletes the row cannot also set columns"],
    ),
    (
        [rule(increment={"name": "1"})],
        [
            (
                "spec.rules[0].increment.name: column `name` is text; only smallint, integer, bigint and numeric "
                "columns can be incremented"
            )
        ],
    ),
    (
        [rule(max={"name": "event.x"})],
        [
            (
                "spec.rules[0].max.name: column `name` is text; max serves smallint, integer, bigint, numeric, "
                "double precision, timestamptz and date columns"
            )
        ],
    ),
    (
        [rule(append={"name": "event.x"})],
        ["spec.rules[0].append.name: column `name` is text; only jsonb columns can be appended to"],
    ),
    (
        [rule(append={"data": "event.x"}), rule(append={"data": "1"}, increment={"data": "1"})],
        [
            (
                "spec.rules[1].increment.data: column `data` is jsonb; only smallint, integer, bigint and numeric "
                "columns can be incremented"
            ),
            "spec.rules[1].append.data: column `data` is changed twice by this rule",
            (
                "spec.rules[1].increment.data: rule 0 uses append on column `data`, rule 1 increment: a column has one "
                "of them"
            ),
        ],
    ),
    (
        [rule(set={"total": "1"}, increment={"total": "1"})],
        ["spec.rules[0].increment.total: column `total` is changed twice by this rule"],
    ),
    (
        [rule(increment={"total": "1"}), rule(max={"total": "1"})],
        [
            "spec.rules[1].max.total: rule 0 uses increment on column `total`, rule 1 max: a column has one of them",
        ],
    ),
    (
        [{"events": ["E"], "key": {"idd": "event.x"}, "delete": True}],
        [
            "spec.rules[0].key.idd: `idd` is not a key column; did you mean `id`?",
            "spec.rules[0].key: the key column `id` is missing",
        ],
    ),
    (
        [{"events": ["E", "E"], "key": KEY, "delete": True}],
        ["spec.rules[0].events[1]: event type `E` is named twice"],
    ),
]


@pytest.mark.parametrize(("rules", "messages"), RULES, ids=[messages[0].split(":")[0] for _, messages in RULES])
def test_rules_are_checked_against_columns(rules: list[dict[str, Any]], messages: list[str]) -> None:
    assert problems(spec_data(rules=rules)) == messages


TARGETS: list[tuple[dict[str, Any], str]] = [
    ({"table": "t" * 51}, f"{TARGET}.table: is longer than 50 characters"),
    ({"table": LONG}, f"{TARGET}.table: the name takes 64 bytes; at most 50 are possible here"),
    ({"schema": LONG}, f"{TARGET}.schema: the name takes 64 bytes; at most 63 are possible here"),
    ({"key": ["idd"]}, f"{TARGET}.key[0]: column `idd` is not declared; did you mean `id`?"),
    ({"key": ["id", "id"]}, f"{TARGET}.key[1]: column `id` is named twice"),
    ({"key": ["id", "data"]}, f"{TARGET}.key[1]: column `data` is jsonb, which cannot be a key"),
    (
        {"key": ["id", "total"]},
        f"{TARGET}.columns[2].default: a key column has no default: every rule gives its value",
    ),
]


@pytest.mark.parametrize(("change", "message"), TARGETS, ids=[message.split(":")[0] for _, message in TARGETS])
def test_targets_are_checked(change: dict[str, Any], message: str) -> None:
    assert message in problems(spec_data(**change))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"name": LONG, "type": "text"}, "columns[11].name: the name takes 64 bytes; at most 63 are possible here"),
        ({"name": "x" * 64, "type": "text"}, "columns[11].name: is longer than 63 characters"),
        ({"name": "name", "type": "text"}, "columns[11].name: column `name` is declared twice"),
        ({"name": "ctid", "type": "text"}, "columns[11].name: `ctid` is a system column of PostgreSQL"),
        ({"name": "n", "type": "bigint", "default": "x"}, "columns[11].default: 'x' is not an integer"),
        (
            {"name": "n", "type": "smallint", "default": "40000"},
            "columns[11].default: '40000' is out of range for smallint (-32768 to 32767)",
        ),
        ({"name": "n", "type": "date", "default": "now()"}, "columns[11].default: 'now()' is not a date such as"),
        ({"name": "n", "type": "boolean", "default": "1"}, "columns[11].default: '1' is neither true nor false"),
        ({"name": "n", "type": "jsonb", "default": "{"}, "columns[11].default: '{' is not JSON"),
        ({"name": "n", "type": "uuid", "default": "0"}, "columns[11].default: '0' is not a UUID"),
        ({"name": "n", "type": "numeric", "default": "NaN"}, "columns[11].default: 'NaN' is not a finite number"),
        ({"name": "n", "type": "double precision", "default": "e"}, "columns[11].default: 'e' is not a number"),
        (
            {"name": "n", "type": "timestamptz", "default": "2026-01-01T00:00:00"},
            "columns[11].default: '2026-01-01T00:00:00' is not an RFC 3339 timestamp with an offset",
        ),
    ],
)
def test_columns_are_checked(column: dict[str, Any], message: str) -> None:
    found = problems(spec_data(columns=[*COLUMNS, column]))
    assert any(text.startswith(f"{TARGET}.{message}") for text in found), found


def test_names_of_63_bytes_are_served() -> None:
    column = {"name": "ä" * 31 + "x", "type": "text"}
    assert problems(spec_data(columns=[*COLUMNS, column], table="t" * 50)) == []


def test_what_is_appended_to_starts_as_a_list() -> None:
    rules = [rule(append={"data": "event.x"})]

    def found(default: str) -> list[str]:
        return problems(
            spec_data(rules, columns=[*COLUMNS[:-1], {"name": "data", "type": "jsonb", "default": default}])
        )

    assert found("{}") == [
        "spec.rules[0].append.data: column `data` has a default that is no list: give it '[]', or none"
    ]
    assert found("[]") == []
