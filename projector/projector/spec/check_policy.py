"""Checks of what stands beside the rules: source, ordering, handler, errors."""

import re
from collections.abc import Iterable, Iterator

from projector.spec.models import Ordering, ProjectionSpec, Rule
from projector.spec.problems import Problem
from projector.spec.selectors import Selector

_KAFKA = "spec.source.kafka"
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_CHANGES = ("set", "increment", "min", "max", "append", "delete")
_SERVED = {"Commutative": ("increment", "min", "max"), "Guarded": ("set", "delete")}
_WHY = {
    "Commutative": "its result depends on the order of events",
    "Guarded": "it depends on what earlier events did, and Guarded passes over those that come late",
}


def check_source(spec: ProjectionSpec) -> Iterator[Problem]:
    """Topics, format and versions against each other."""
    kafka = spec.source.kafka
    for position, topic in enumerate(kafka.topics):
        if topic in kafka.topics[:position]:
            yield Problem(f"{_KAFKA}.topics[{position}]", f"topic `{topic}` is named twice")
    if kafka.format == "JSON" and kafka.schema_registry:
        yield Problem(f"{_KAFKA}.schemaRegistry", "format JSON has no schemas: remove it, or set format")
    if kafka.format != "JSON" and not kafka.schema_registry:
        yield Problem(f"{_KAFKA}.schemaRegistry", f"is missing: format {kafka.format} takes its schemas from there")
    if not kafka.event_version:
        yield from _unreadable_versions(spec.rules or ())


def _unreadable_versions(rules: Iterable[Rule]) -> Iterator[Problem]:
    for index, rule in enumerate(rules):
        for position, text in enumerate(rule.events):
            if _names_version(text):
                yield Problem(
                    f"spec.rules[{index}].events[{position}]",
                    f"`{text}` names a version: say in {_KAFKA}.eventVersion where it stands (header.<name> or "
                    "event.<field>)",
                )


def _names_version(text: str) -> bool:
    try:
        return Selector.parse(text).op is not None
    except ValueError:
        return False  # said at the rule


def check_ordering(ordering: Ordering, rules: Iterable[Rule]) -> Iterator[Problem]:
    """`by`, and whether the rules hold under the ordering."""
    mode = ordering.mode
    if mode == "Guarded" and ordering.by is None:
        yield Problem(
            "spec.ordering.by", "is missing: Guarded needs a whole number that grows with each event, as event.version"
        )
    if mode != "Guarded" and ordering.by is not None:
        yield Problem("spec.ordering.by", f"mode {mode} does not read it: remove it, or set mode: Guarded")
    if mode == "PerKey":
        return
    rules = tuple(rules)
    for index, rule in enumerate(rules):
        yield from _rule_in_order(f"spec.rules[{index}]", rule, mode)
    if mode == "Guarded":
        yield from _same_columns(rules)


def _rule_in_order(path: str, rule: Rule, mode: str) -> Iterator[Problem]:
    for operation in _CHANGES:
        if getattr(rule, operation) and (reason := unserved(mode, operation)):
            yield Problem(f"{path}.{operation}", reason)
    if rule.on_missing != "Create":
        yield Problem(f"{path}.onMissing", creates_only(mode))


def unserved(mode: str, operation: str) -> str:
    """Why an ordering does not serve an operation of a rule or handler; empty where it does."""
    served = _SERVED.get(mode, _CHANGES)
    if operation in served:
        return ""
    return f"ordering {mode} does not serve {operation}, since {_WHY[mode]}; it serves {' and '.join(served)}"


def creates_only(mode: str) -> str:
    """Why an ordering other than PerKey serves no other `onMissing`."""
    return f"ordering {mode} serves Create only: whether the row is missing depends on the order of events"


def _same_columns(rules: Iterable[Rule]) -> Iterator[Problem]:
    """The newest event alone says what the row is, so each has to say all of it."""
    first: tuple[int, frozenset[str]] | None = None
    for index, rule in enumerate(rules):
        if not rule.set:
            continue
        columns = frozenset(rule.set)
        if first is None:
            first = index, columns
        elif columns != first[1]:
            missing = sorted(first[1] - columns) or sorted(columns - first[1])
            lacking, other = (index, first[0]) if first[1] - columns else (first[0], index)
            yield Problem(
                f"spec.rules[{index}].set",
                f"with ordering Guarded every rule sets the same columns, since only the newest event counts: rule "
                f"{lacking} does not set {_listed(missing)}, rule {other} does",
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def check_handler(spec: ProjectionSpec) -> Iterator[Problem]:
    """Rules or a handler; and a handler in an image that cannot change."""
    if spec.handler is None:
        if not spec.rules:
            yield Problem("spec", "needs rules, or a handler")
        return
    if spec.rules:
        yield Problem("spec.handler", "stands beside rules: a projection has one of the two")
    image = spec.projector.image
    if image is None:
        yield Problem("spec.projector.image", "is missing: name the image that holds the handler, by its digest")
    elif not _DIGEST.fullmatch(image):
        yield Problem(
            "spec.projector.image",
            "must end in @sha256:<64 hex digits>: the handler is part of the version, and a tag may come to mean "
            "another image",
        )


def check_errors(spec: ProjectionSpec) -> Iterator[Problem]:
    """`badData: Stop` keeps nothing aside, so no rule can ask for it."""
    if spec.errors.bad_data == "ParkKey":
        return
    for index, rule in enumerate(spec.rules or ()):
        if rule.on_missing == "Park":
            yield Problem(
                f"spec.rules[{index}].onMissing",
                "Park does not go with errors.badData: Stop, which keeps no event aside; write ParkKey there, or "
                "Create or Ignore here",
            )
