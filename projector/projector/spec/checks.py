"""Checks of a spec that need more than one field, or that count bytes. They report all problems together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType

from projector.spec.check_indexes import check_indexes
from projector.spec.check_policy import check_errors, check_handler, check_ordering, check_source, unserved
from projector.spec.check_rollout import check_rollout
from projector.spec.models import Column, PostgresqlTarget, ProjectionSpec, Rule
from projector.spec.problems import Problem, near
from projector.spec.selectors import Selector
from projector.spec.values import NUMERIC_TYPES, ORDERED_TYPES, default_value

MAX_IDENTIFIER = 63
MAX_TABLE = MAX_IDENTIFIER - len("__b0123456789")
"""Bytes of a table's name that leave room for the number of its build."""

ACCUMULATIONS = ("increment", "min", "max", "append")
_OPERATIONS = ("set", *ACCUMULATIONS)
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_TABLE_PATH = "spec.target.postgresql"


def check(spec: ProjectionSpec) -> tuple[Problem, ...]:
    """Everything that is wrong with a spec apart from its expressions and tests; empty where nothing is."""
    table, rules = spec.target.postgresql, spec.rules or ()
    return (
        *check_source(spec),
        *_target(table),
        *check_indexes(table),
        *check_rules(rules, table),
        *check_ordering(spec.ordering, rules),
        *check_handler(spec),
        *_accumulate(spec),
        *check_errors(spec),
        *check_rollout(spec),
    )


def _target(table: PostgresqlTarget) -> Iterator[Problem]:
    yield from _identifier(f"{_TABLE_PATH}.schema", table.db_schema, MAX_IDENTIFIER)
    yield from _identifier(f"{_TABLE_PATH}.table", table.table, MAX_TABLE)
    names = [column.name for column in table.columns]
    for index, column in enumerate(table.columns):
        path = f"{_TABLE_PATH}.columns[{index}]"
        yield from _column(path, column)
        if column.name in names[:index]:
            yield Problem(f"{path}.name", f"column `{column.name}` is declared twice")
    yield from _key(table)


def _identifier(path: str, name: str, limit: int) -> Iterator[Problem]:
    size = len(name.encode())
    if size > limit:
        yield Problem(path, f"the name takes {size} bytes; at most {limit} are possible here")
    if "\0" in name:
        yield Problem(path, "the name holds a NUL character")


def _column(path: str, column: Column) -> Iterator[Problem]:
    yield from _identifier(f"{path}.name", column.name, MAX_IDENTIFIER)
    if column.name in _SYSTEM_COLUMNS:
        yield Problem(f"{path}.name", f"`{column.name}` is a system column of PostgreSQL")
    try:
        default_value(column)
    except ValueError as error:
        yield Problem(f"{path}.default", str(error))


def _key(table: PostgresqlTarget) -> Iterator[Problem]:
    columns = {column.name: (index, column) for index, column in enumerate(table.columns)}
    for position, name in enumerate(table.key):
        path = f"{_TABLE_PATH}.key[{position}]"
        if name not in columns:
            yield Problem(path, f"column `{name}` is not declared{near(name, columns)}")
            continue
        if name in table.key[:position]:
            yield Problem(path, f"column `{name}` is named twice")
        index, column = columns[name]
        if column.type == "jsonb":
            yield Problem(path, f"column `{name}` is jsonb, which cannot be a key")
        if column.default is not None:
            yield Problem(
                f"{_TABLE_PATH}.columns[{index}].default", "a key column has no default: every rule gives its value"
            )


def check_rules(rules: Iterable[Rule], table: PostgresqlTarget) -> Iterator[Problem]:
    """Problems of rules against the table's columns."""
    columns = {column.name: column for column in table.columns}
    accumulated: dict[str, tuple[str, int]] = {}
    for index, rule in enumerate(rules):
        path = f"spec.rules[{index}]"
        yield from _events(path, rule)
        yield from _rule_key(path, rule, table.key)
        yield from _shape(path, rule)
        yield from _columns(path, rule, columns, table.key)
        yield from _accumulation(index, rule, accumulated)


def _events(path: str, rule: Rule) -> Iterator[Problem]:
    for position, text in enumerate(rule.events):
        where = f"{path}.events[{position}]"
        try:
            selector = Selector.parse(text)
        except ValueError as error:
            yield Problem(where, str(error))
            continue
        if text in rule.events[:position]:
            yield Problem(where, f"event type `{text}` is named twice")
        elif selector.op and selector.name in rule.events:
            yield Problem(where, f"`{selector.name}` already stands for all of its versions: drop one of the two")


def _rule_key(path: str, rule: Rule, key: tuple[str, ...]) -> Iterator[Problem]:
    for name in rule.key:
        if name not in key:
            yield Problem(f"{path}.key.{name}", f"`{name}` is not a key column{near(name, key)}")
    for name in key:
        if name not in rule.key:
            yield Problem(f"{path}.key", f"the key column `{name}` is missing")


def _shape(path: str, rule: Rule) -> Iterator[Problem]:
    used = [operation for operation in _OPERATIONS if getattr(rule, operation)]
    if rule.delete and used:
        yield Problem(f"{path}.delete", f"a rule that deletes the row cannot also {used[0]} columns")
    if not rule.delete and not used:
        yield Problem(path, "the rule does nothing: give it set, increment, min, max, append or delete")


def _columns(path: str, rule: Rule, columns: Mapping[str, Column], key: tuple[str, ...]) -> Iterator[Problem]:
    used = Counter[str]()
    for operation in _OPERATIONS:
        for name in getattr(rule, operation) or ():
            where = f"{path}.{operation}.{name}"
            used[name] += 1
            if name not in columns:
                yield Problem(where, f"column `{name}` is not declared{near(name, columns)}")
                continue
            if name in key:
                yield Problem(where, f"`{name}` is a key column: its value is given under key")
            if used[name] == 2:  # noqa: PLR2004 - the second of two
                yield Problem(where, f"column `{name}` is changed twice by this rule")
            yield from _operation_fits(where, operation, columns[name])


def _operation_fits(where: str, operation: str, column: Column) -> Iterator[Problem]:
    name, kind = column.name, column.type
    if operation == "increment" and kind not in NUMERIC_TYPES:
        yield Problem(where, f"column `{name}` is {kind}; only {_words(NUMERIC_TYPES)} columns can be incremented")
    if operation in ("min", "max") and kind not in ORDERED_TYPES:
        yield Problem(where, f"column `{name}` is {kind}; {operation} serves {_words(ORDERED_TYPES)} columns")
    if operation == "append" and kind != "jsonb":
        yield Problem(where, f"column `{name}` is {kind}; only jsonb columns can be appended to")
    if operation == "append" and kind == "jsonb" and not _holds_list(column):
        yield Problem(where, f"column `{name}` has a default that is no list: give it '[]', or none")


def _accumulate(spec: ProjectionSpec) -> Iterator[Problem]:
    """What a handler accumulates, against the table's columns and the ordering."""
    if spec.accumulate and spec.handler is None:
        yield Problem("spec.accumulate", "is read only with a handler: rules tell themselves how columns accumulate")
        return
    table = spec.target.postgresql
    columns = {column.name: column for column in table.columns}
    for name, operation in (spec.accumulate or {}).items():
        where = f"spec.accumulate.{name}"
        if name not in columns:
            yield Problem(where, f"column `{name}` is not declared{near(name, columns)}")
            continue
        if name in table.key:
            yield Problem(where, f"`{name}` is a key column, which does not change")
        if reason := unserved(spec.ordering.mode, operation):
            yield Problem(where, reason)
        yield from _operation_fits(where, operation, columns[name])


def _holds_list(column: Column) -> bool:
    try:
        return isinstance(default_value(column), list | NoneType)
    except ValueError:
        return True  # said at the column


def _words(types: frozenset[str]) -> str:
    order = ("smallint", "integer", "bigint", "numeric", "double precision", "timestamptz", "date")
    *others, last = [name for name in order if name in types]
    return f"{', '.join(others)} and {last}"


def _accumulation(index: int, rule: Rule, accumulated: dict[str, tuple[str, int]]) -> Iterator[Problem]:
    """Increment, min, max and append of one column do not compose with each other: a column has one of them."""
    for operation in ACCUMULATIONS:
        for name in getattr(rule, operation) or ():
            other, first = accumulated.setdefault(name, (operation, index))
            if other != operation:
                yield Problem(
                    f"spec.rules[{index}].{operation}.{name}",
                    f"rule {first} uses {other} on column `{name}`, rule {index} {operation}: a column has one of them",
                )
