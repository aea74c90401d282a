"""Handlers for tests: one that does what rules do, by way of the reference interpreter."""

from collections.abc import Iterator, Mapping
from typing import Any

from projector.fold.columns import KINDS, accumulations
from projector.fold.delta import Kind
from projector.fold.handled import HandlerProgram
from projector.handlers import Change, Delete, Event, Handler, Meta, Upsert
from projector.spec.definition import Definition
from projector.spec.models import Rule
from tests.support.oracle import Reference, _selects
from tests.support.oracle_expressions import Refused, check, evaluate

_OPERATIONS = ("set", "increment", "min", "max", "append")
_WORDS: Mapping[Kind, str] = {kind: word for word, kind in KINDS.items()}


def with_handler(definition: Definition, **parts: Any) -> Definition:
    """The same read model, with a handler instead of the rules."""
    accumulate = {name: _WORDS[kind] for name, kind in accumulations(definition).items()}
    own = {"rules": (), "handler": "team:handler", "accumulate": accumulate or None, "event_version": None}
    return definition.model_copy(update=own | parts)


def program_like(definition: Definition) -> HandlerProgram:
    """A handler's program that does what the rules of a definition do."""
    return HandlerProgram(with_handler(definition), handler_like(definition), None)


def handler_like(definition: Definition) -> Handler:
    """A handler that does what rules do; what a rule cannot do comes as a change that fits no column."""
    reference = Reference(definition)

    def handler(event: Event, meta: Meta) -> Iterator[Change]:
        name = check(event.type is not None, event.type)
        scope = {"event": event.value or {}, "meta": _meta(meta, name)}
        for rule in definition.rules:
            if any(_selects(selector, name, _version(definition, event, meta)) for selector in rule.events):
                yield from _rule(reference, rule, scope)

    return handler


def _meta(meta: Meta, name: str) -> dict[str, Any]:
    headers = {header: text for header, text in meta.headers.items() if text is not None}
    known: dict[str, Any] = {"topic": meta.topic, "partition": meta.partition, "offset": meta.offset, "type": name}
    return {
        **known,
        "key": meta.key,
        "headers": headers,
        **({} if meta.timestamp is None else {"timestamp": meta.timestamp}),
    }


def _version(definition: Definition, event: Event, meta: Meta) -> int:
    versioned = any(text.startswith(f"{event.type}@") for rule in definition.rules for text in rule.events)
    if not versioned or definition.event_version is None:
        return 1
    kind, name = definition.event_version.split(".", 1)
    found = meta.headers.get(name) if kind == "header" else (event.value or {}).get(name)
    text = "1" if found is None else str(found)
    return int(check(text.isdecimal(), text))


def _rule(reference: Reference, rule: Rule, scope: dict[str, Any]) -> Iterator[Change]:
    scopes = [scope]
    if rule.for_each is not None:
        items = evaluate(rule.for_each, scope)
        scopes = [{**scope, "item": item} for item in check(isinstance(items, list), items)]
    names = reference.definition.key
    try:
        met = [(one, change) for one in scopes for change in reference._change(rule, one)]
    except Refused:
        for one in scopes:
            yield Upsert(key=dict(zip(names, reference._key(rule, one), strict=True)), set={"name": object()})
        return
    for one, change in met:
        key = dict(zip(names, change.key, strict=True))
        if rule.delete:
            yield Delete(key, "Park" if rule.on_missing == "Park" else "Ignore")
            continue
        values = {
            operation: {name: evaluate(text, one) for name, text in (getattr(rule, operation) or {}).items()}
            for operation in _OPERATIONS
        }
        yield Upsert(key=key, **values, on_missing=rule.on_missing)
