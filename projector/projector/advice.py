"""What is allowed and yet likely wrong: warnings of `projector lint`."""

from collections.abc import Iterable, Iterator

from projector.expr.ast import Name, Node, children
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from projector.spec.models import ProjectionSpec, Rule
from projector.spec.problems import Problem

_OTHER_ORDERINGS = "ordering Guarded or Commutative holds without that"


def warnings(spec: ProjectionSpec) -> tuple[Problem, ...]:
    """Warnings about a spec that has passed `projector.fold.validate`."""
    rules = spec.rules or ()
    return (*_several_topics(spec), *_keyed_by_item(spec, rules), *_unread_version(spec, rules), *_idle(spec, rules))


def _several_topics(spec: ProjectionSpec) -> Iterator[Problem]:
    topics = spec.source.kafka.topics
    if len(topics) > 1 and spec.ordering.mode == "PerKey":
        yield Problem(
            "spec.source.kafka.topics",
            f"with ordering PerKey all events of a row must lie in one partition of one of the {len(topics)} topics; "
            + _OTHER_ORDERINGS,
        )


def _keyed_by_item(spec: ProjectionSpec, rules: Iterable[Rule]) -> Iterator[Problem]:
    """A list's elements say nothing of the record's key: rows made of them are keyed otherwise than the log."""
    if spec.ordering.mode != "PerKey":
        return
    for index, rule in enumerate(rules):
        if rule.for_each is None:
            continue
        found = [column for column, text in rule.key.items() if _names_item(text)]
        if found == list(rule.key):
            yield Problem(
                f"spec.rules[{index}].key",
                f"{', '.join(f'`{column}`' for column in found)} is told by item alone, so events of one row may lie "
                f"in several partitions, whose order is not fixed; {_OTHER_ORDERINGS}",
            )


def _names_item(text: str) -> bool:
    try:
        return _any_item(parse(text).root)
    except ExprError:
        return False


def _any_item(node: Node) -> bool:
    return (isinstance(node, Name) and node.name == "item") or any(map(_any_item, children(node)))


def _unread_version(spec: ProjectionSpec, rules: Iterable[Rule]) -> Iterator[Problem]:
    versioned = any(selector.op for rule in rules for selector in rule.selectors)
    if spec.source.kafka.event_version and not versioned and spec.handler is None:
        yield Problem("spec.source.kafka.eventVersion", "no rule names a version, so nothing reads it")


def _idle(spec: ProjectionSpec, rules: tuple[Rule, ...]) -> Iterator[Problem]:
    if not rules:
        return
    table = spec.target.postgresql
    used = {name for rule in rules for part in _changes(rule) for name in part}
    for index, column in enumerate(table.columns):
        if column.name not in used and column.name not in table.key:
            holds = "NULL" if column.default is None else f"its default {column.default!r}"
            yield Problem(
                f"spec.target.postgresql.columns[{index}]", f"no rule changes `{column.name}`: it always holds {holds}"
            )


def _changes(rule: Rule) -> Iterator[Iterable[str]]:
    for part in (rule.set, rule.increment, rule.min, rule.max, rule.append):
        yield part or ()
