"""Lines of generated code that compose one rule's change onto what a batch has for the key.

Locals: `deltas`, `folded`, `record` and the rule's values. The usual delta, an `Upsert`, is changed in place; whatever
is rarer goes through `follow` (see `projector.fold.algebra`).
"""

from collections.abc import Iterator

from projector.fold.delta import Kind
from projector.fold.plan import Assignment, Plan, RulePlan


class Merge:
    """The lines for one rule."""

    def __init__(self, plan: Plan, rule: RulePlan) -> None:
        self._plan = plan
        self._rule = rule
        self._columns = plan.columns
        places = plan.columns.places
        names = dict(zip(rule.assignments, rule.value_names, strict=True))
        self._key = "".join(f"{names[assignment]}, " for assignment in rule.key)
        self._changes = [(places[change.column], change, names[change]) for change in rule.changes]
        self._guard = names[rule.guard] if rule.guard else ""

    def lines(self) -> Iterator[str]:
        """All lines, one level deep."""
        yield f"key = ({self._key})"
        yield "d = deltas.get(key)"
        if self._guard:
            yield from self._guarded()
        elif self._rule.delete:
            yield from self._deleting()
        else:
            yield from self._changing()

    def _guarded(self) -> Iterator[str]:
        change = self._upsert(f"{self._guard}, {self._rule.delete}")
        yield f"if d is None: deltas[key] = {change}"
        yield "elif d.__class__ is list:"
        yield f"    if {self._guard} > d[-2]: deltas[key] = {change}"
        yield f"else: follow(folded, key, {change}, record)"

    def _deleting(self) -> Iterator[str]:
        if self._rule.on_missing != "Park":
            yield "if d is None or d.__class__ is list: deltas[key] = ERASED"
            yield "else: follow(folded, key, ERASED, record)"
            return
        yield "if d.__class__ is list: deltas[key] = ERASED"
        yield f"else: follow(folded, key, {self._forked('ERASED')}, record)"

    def _changing(self) -> Iterator[str]:
        other = self._other()
        if self._rule.on_missing == "Park":
            yield f"if d is None: follow(folded, key, {other}, record)"
        else:
            yield f"if d is None: deltas[key] = {other}"
        yield "elif d.__class__ is list:"
        for place, change, name in self._changes:
            yield from (f"    {line}" for line in self._in_place(place, change, name))
        yield f"    d[{self._columns.key}] |= {self._bits}"
        yield f"else: follow(folded, key, {other}, record)"

    def _other(self) -> str:
        """The change by itself."""
        if self._rule.on_missing == "Create":
            return self._upsert()
        update = f"Delta(None, Update({{{', '.join(self._op(change, name) for _, change, name in self._changes)}}}))"
        if self._rule.on_missing == "Ignore":
            return update
        return self._forked(update)

    def _forked(self, present: str) -> str:
        return f"Forked([ParkedEvent(record, 'the row does not exist (rule {self._rule.index})')], {present})"

    def _upsert(self, more: str = "") -> str:
        values = ["None"] * len(self._columns.names)
        for place, change, name in self._changes:
            values[place - self._columns.key - 1] = f"[{name}]" if change.operation == "append" else name
        return f"[{self._key}{', '.join(filter(None, [str(self._bits), *values, more]))}]"

    @property
    def _bits(self) -> int:
        return self._columns.bits((change.column, change.kind) for _, change, _ in self._changes)

    @staticmethod
    def _op(change: Assignment, name: str) -> str:
        value = f"moment({name})" if change.instant else f"[{name}]" if change.operation == "append" else name
        return f"{change.column!a}: ({change.kind.name}, {value})"

    def _in_place(self, place: int, change: Assignment, name: str) -> Iterator[str]:
        if change.kind is Kind.SET:
            yield f"d[{place}] = {name}"
            return
        yield f"o = d[{place}]"
        match change.kind:
            case Kind.ADD:
                total = f"exact_add(o, {name})" if change.type == "numeric" else f"o + {name}"
                yield f"d[{place}] = {name} if o is None else {total}"
            case Kind.APPEND:
                yield f"if o is None: d[{place}] = [{name}]"
                yield f"else: o.append({name})"
            case _:
                yield f"if o is None or {name} {'<' if change.kind is Kind.MIN else '>'} o: d[{place}] = {name}"
