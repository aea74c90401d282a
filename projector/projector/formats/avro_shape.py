"""What data of an Avro schema could do to a process: nest without end, or tell of endless items in a few bytes.

Schemas here are parsed ones: names are full names, and `named` holds what they stand for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Named = Mapping[str, Any]


def is_recursive(schema: Any, named: Named) -> bool:
    """Whether some type holds itself."""
    return _recursive(schema, named, (), set())


def is_endless(schema: Any, named: Named) -> bool:
    """Whether the items of some list take no bytes, so that the length of an event says nothing of their number."""
    return any(
        isinstance(part, dict) and part.get("type") == "array" and _is_empty(part["items"], named, ())
        for part in _parts(schema, named, set())
    )


def _recursive(schema: Any, named: Named, inside: tuple[str, ...], done: set[str]) -> bool:
    """`done` holds the names that were seen through."""
    if isinstance(schema, list):
        return any(_recursive(branch, named, inside, done) for branch in schema)
    if isinstance(schema, str):
        return schema in inside or (schema in named and _recursive(named[schema], named, inside, done))
    if "fields" not in schema:
        part = schema.get("items", schema.get("values"))
        return part is not None and _recursive(part, named, inside, done)
    name = schema["name"]
    if name in done:
        return False
    done.add(name)
    return any(_recursive(field["type"], named, (*inside, name), done) for field in schema["fields"])


def _parts(schema: Any, named: Named, done: set[str]) -> Iterator[Any]:
    """The schema and every schema within it, named ones once."""
    if isinstance(schema, str) and schema in named:
        if schema not in done:
            done.add(schema)
            yield from _parts(named[schema], named, done)
        return
    yield schema
    for part in _children(schema):
        yield from _parts(part, named, done)


def _children(schema: Any) -> list[Any]:
    if isinstance(schema, list):
        return schema
    if isinstance(schema, str):
        return []
    return [schema[name] for name in ("items", "values") if name in schema] + _field_types(schema)


def _field_types(schema: Mapping[str, Any]) -> list[Any]:
    return [field["type"] for field in schema.get("fields", ())]


def _is_empty(schema: Any, named: Named, inside: tuple[str, ...]) -> bool:
    """Whether a value takes no bytes at all. A record that holds itself cannot be read, so it is not of interest."""
    if isinstance(schema, str):
        if schema in named and schema not in inside:
            return _is_empty(named[schema], named, (*inside, schema))
        return schema == "null"
    if isinstance(schema, list):
        return False
    if "fields" in schema:
        return all(_is_empty(part, named, (*inside, schema["name"])) for part in _field_types(schema))
    return bool(schema["type"] == "null" or schema.get("size") == 0)
