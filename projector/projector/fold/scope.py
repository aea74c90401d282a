"""How generated code reaches the event, its metadata and its constants."""

from dataclasses import dataclass, field

import msgspec

from projector.expr.codegen import Fragment
from projector.expr.types import Type
from projector.fold.infer import Field

UNSET = msgspec.UNSET

_META: dict[str, Fragment] = {
    "topic": Fragment("record.topic()", Type.STRING, fails=False),
    "partition": Fragment("record.partition()", Type.INT, fails=False),
    "offset": Fragment("record.offset()", Type.INT, fails=False),
    "key": Fragment("key_text(record)"),
    "headers": Fragment("headers(record)", Type.MAP),
}


@dataclass(slots=True)
class EventScope:
    """Scope of one generated function: locals `event` (decoded), `record`, and its time: `now`, or `kind` and `at`.

    With `typed`, fields of `event` have the inferred types; else they are whatever the JSON held, or UNSET. With
    `whole`, `event` is a dict. Where the event type stands in the field `type_field`, that is no attribute.
    """

    event_type: str
    fields: dict[str, tuple[str, Field]]
    typed: bool
    whole: bool
    type_field: str | None = None
    constants: dict[str, object] = field(default_factory=dict)
    uses_instant: bool = False
    uses_milliseconds: bool = False
    _temporaries: int = 0

    def fresh(self) -> "EventScope":
        """The same scope for another function."""
        return EventScope(self.event_type, self.fields, self.typed, self.whole, self.type_field)

    def event(self) -> Fragment:
        """The whole event, as a dict."""
        return Fragment("event", Type.MAP, fails=False)

    def field(self, name: str) -> Fragment:
        """A field of the event; the source raises EvalError where it is missing."""
        what = ascii(f"event.{name}")
        if self.whole:
            return Fragment(f"select(event, {name!a}, 'event', {what})")
        if name == self.type_field:
            return Fragment(ascii(self.event_type), Type.STRING, fails=False)
        attribute, known = self.fields[name]
        want = known.want
        if self.typed and (want.column or want.type is not Type.DYN):
            return self._typed(f"event.{attribute}", known, what)
        local = self.temporary()
        return Fragment(f"({local} if ({local} := event.{attribute}) is not UNSET else missing({what}))")

    def _typed(self, text: str, known: Field, what: str) -> Fragment:
        want = known.want
        if want.column == "timestamptz":
            return Fragment(f"utc({text}, {what})", want.type, True, want.column, want.nullable)
        return Fragment(text, want.type, False, want.column, want.nullable)

    def has_field(self, name: str) -> str:
        """Source of whether the event has a field."""
        if self.whole:
            return f"({name!a} in event)"
        return "True" if name == self.type_field else f"(event.{self.fields[name][0]} is not UNSET)"

    def variable(self, name: str) -> Fragment:
        """A variable other than `event` and `meta`: a local of the same name. Its type is never sure."""
        return Fragment(name, fails=False)

    def meta(self, name: str) -> Fragment:
        """A field of `meta`."""
        if name == "type":
            return Fragment(ascii(self.event_type), Type.STRING, fails=False)
        if name == "timestamp":
            self.uses_instant = True
            return Fragment("(now if now is not None else missing('meta.timestamp'))", Type.TIMESTAMP)
        return _META[name]

    def header(self, name: str) -> Fragment:
        """A header by its name."""
        return Fragment(f"header(record, {name!a}, {f'meta.headers.{name}'!a})")

    def constant(self, value: object) -> str:
        """Name under which generated code finds a value."""
        name = f"C{len(self.constants)}"
        self.constants[name] = value
        return name

    def temporary(self) -> str:
        """A fresh local name."""
        self._temporaries += 1
        return f"t{self._temporaries}"
