"""Decoders of JSON events: one that is typed and reads only the fields used, and one for whatever comes."""

from collections.abc import Callable, Iterable
from typing import Any, Union

import msgspec

from projector.expr.errors import EvalError
from projector.fold.infer import ANYTHING, Field
from projector.fold.scope import UNSET

Decode = Callable[[bytes], Any]

Attributes = dict[str, tuple[str, Field]]
"""Field of the event → the attribute that holds it, and what is known of it."""


def attributes(fields: Iterable[Field]) -> Attributes:
    """Attributes for fields, whatever they are called."""
    return {field.name: (f"f{number}", field) for number, field in enumerate(fields)}


def typed_struct(name: str, given: Attributes, tag_field: str | None) -> type[msgspec.Struct]:
    """A class for events of one type: fields of a known type are required, and must be of it.

    With `tag_field`, it is told from others by that field, which holds `name` and is no attribute.
    """
    required: list[tuple[str, Any]] = []
    optional: list[tuple[str, Any, Any]] = []
    used = {field: place for field, place in given.items() if field != tag_field}
    for attribute, field in used.values():
        if field.want == ANYTHING:
            optional.append((attribute, Any, UNSET))
        else:
            required.append((attribute, field.annotation))
    tagged: dict[str, Any] = {} if tag_field is None else {"tag_field": tag_field, "tag": name}
    rename = {attribute: field for field, (attribute, _) in used.items()}
    return msgspec.defstruct("Event", [*required, *optional], rename=rename, gc=False, **tagged)


def open_struct(given: Attributes) -> type[msgspec.Struct]:
    """A class for any event: fields hold whatever the JSON does, or UNSET."""
    rename = {attribute: field for field, (attribute, _) in given.items()}
    return msgspec.defstruct("Event", [(attribute, Any, UNSET) for attribute in rename], rename=rename, gc=False)


def fast(shape: Any) -> Decode:
    """A decoder that raises whatever it likes."""
    decode: Decode = msgspec.json.Decoder(shape).decode
    return decode


def one_of(tag_field: str, structs: Iterable[type[msgspec.Struct]]) -> Decode:
    """A fast decoder that gives an instance of the one of tagged classes whose tag the value has."""
    # Of a single class the tag may be missing. NUL never comes here as it is: JSON escapes it.
    nobody = msgspec.defstruct("Nobody", [], tag_field=tag_field, tag="\0")
    return fast(Union[(nobody, *structs)])


def careful(shape: Any) -> Decode:
    """A decoder that raises EvalError, in words, where a value cannot be read."""
    decode = fast(shape)

    def read(value: bytes) -> Any:
        try:
            return decode(value)
        except msgspec.ValidationError as error:
            raise EvalError(_unfit(value, error)) from None
        except RecursionError:
            raise EvalError("the value is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EvalError(f"the value is not JSON: {error}") from None

    return read


def field_decoder(name: str) -> Decode:
    """A careful decoder that gives one field of an event, or UNSET."""
    decode = careful(msgspec.defstruct("Event", [("found", Any, UNSET)], rename={"found": name}))
    return lambda value: decode(value).found


def _unfit(value: bytes, error: msgspec.ValidationError) -> str:
    if value.lstrip()[:1] != b"{":
        return "the value is JSON, but not an object"
    return f"the value cannot be read: {error}"
