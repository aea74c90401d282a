"""Rules, columns and policies in words."""

from collections.abc import Iterator

from projector.explain.layout import heading, labelled, wrapped
from projector.spec.models import Column, ProjectionSpec, Rule
from projector.spec.selectors import Selector

_OPERATIONS = ("set", "increment", "min", "max", "append")
_CHANGES = {
    "set": "{column} becomes {value}",
    "increment": "{column} increases by {value}",
    "min": "{column} becomes the smaller of {column} and {value}",
    "max": "{column} becomes the larger of {column} and {value}",
    "append": "{value} is appended to {column}",
}
_MISSING = {
    "Create": "the row is created from the columns' defaults first",
    "Ignore": "nothing happens",
    "Park": "the event is parked, and later events of the row wait behind it",
}
_ORDER = {
    "PerKey": "All events of a row must lie in one partition; they apply in its order.",
    "Commutative": "Any order and any partitioning of the events gives the same rows.",
    "Guarded": "Of the events of a row the one with the greatest {by} says what the row is, in whatever order they "
    "come; one with an equal or smaller value is passed over.",
}
_BAD = {
    "ParkKey": "An event that cannot be applied is parked with the later events of its row; other rows go on. With "
    "more than {keys} such rows its partition waits.",
    "Stop": "An event that cannot be applied lets its partition wait until it is mended or discarded.",
}


def overview(name: str, spec: ProjectionSpec) -> Iterator[str]:
    """What goes where."""
    kafka, table = spec.source.kafka, spec.target.postgresql
    yield f"{name}, version {spec.version}"
    yield from labelled(
        "from", [f"{_topics(kafka.topics)}, values in {kafka.format}, event type in {kafka.type}"], indent=2
    )
    if kafka.event_version:
        yield from labelled("", [f"schema version in {kafka.event_version}; 1 where it is missing"], indent=2)
    yield from labelled("to", [f"view {table.db_schema}.{table.table}, one row per {', '.join(table.key)}"], indent=2)
    yield from labelled("order", [_ORDER[spec.ordering.mode].format(by=spec.ordering.by)], indent=2)
    bad = _BAD[spec.errors.bad_data].format(keys=spec.errors.max_parked_keys)
    yield from labelled("bad data", [bad], indent=2)


def _topics(names: tuple[str, ...]) -> str:
    return f"{'topic' if len(names) == 1 else 'topics'} {', '.join(names)}"


def events(spec: ProjectionSpec) -> Iterator[str]:
    """What each event type does, its rules in their order."""
    rules = spec.rules or ()
    names = dict.fromkeys(selector.name for rule in rules for selector in rule.selectors)
    for name in names:
        yield from heading("Records without a value" if Selector(name).tombstone else name)
        for index, rule in enumerate(rules):
            selectors = [selector for selector in rule.selectors if selector.name == name]
            if selectors:
                yield from _rule(index, rule, selectors)
    if rules:
        yield from ("", "Events of other types are counted and passed over.")
    if spec.handler:
        image = spec.projector.image or "the projector's image"
        yield from ("", *wrapped(f"Every event goes to the Python function {spec.handler} of {image}."))


def _rule(index: int, rule: Rule, selectors: list[Selector]) -> Iterator[str]:
    head = f"rule {index}"
    if any(selector.op for selector in selectors):
        head += ", version " + " or ".join(f"{selector.op} {selector.version}" for selector in selectors)
    if rule.for_each:
        head += f", for each item of {rule.for_each}"
    if rule.when:
        head += f", where {rule.when}"
    yield from wrapped(head, "  ")
    yield from labelled("row", [", ".join(f"{column} = {text}" for column, text in rule.key.items())])
    yield from labelled("changes", _changes(rule))
    yield from labelled(
        "missing", [_MISSING["Ignore" if rule.delete and rule.on_missing == "Create" else rule.on_missing]]
    )


def _changes(rule: Rule) -> Iterator[str]:
    if rule.delete:
        yield "the row is deleted"
    for operation in _OPERATIONS:
        for column, text in (getattr(rule, operation) or {}).items():
            yield _CHANGES[operation].format(column=column, value=text)


def columns(spec: ProjectionSpec) -> Iterator[str]:
    """Each column, and which events change it."""
    table = spec.target.postgresql
    yield from heading("Columns")
    name_width = max(len(column.name) for column in table.columns)
    type_width = max(len(column.type) for column in table.columns)
    for column in table.columns:
        first = f"  {column.name:{name_width}}  {column.type:{type_width}}  "
        yield from wrapped("; ".join(_of_column(spec, column)), first, " " * len(first))


def _of_column(spec: ProjectionSpec, column: Column) -> Iterator[str]:
    if column.name in spec.target.postgresql.key:
        yield "key"
        return
    if column.default is not None:
        yield f"default {column.default}"
    if spec.handler:
        accumulates = (spec.accumulate or {}).get(column.name)
        yield f"set or {accumulates} by the handler" if accumulates else "set by the handler"
    for operation in _OPERATIONS:
        names = dict.fromkeys(
            event
            for rule in spec.rules or ()
            if column.name in (getattr(rule, operation) or ())
            for event in rule.events
        )
        if names:
            yield f"{operation} by {', '.join(names)}"
