"""Whole events in JSON. The fold has a faster way for events of which it reads single fields."""

from typing import Any

import msgspec

from projector.formats.errors import Undecodable


class Json:
    """JSON objects in UTF-8."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder().decode

    def decode(self, value: bytes) -> dict[str, Any]:
        """The object. Raises Undecodable."""
        try:
            event = self._decode(value)
        except RecursionError:
            raise Undecodable("the value is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(f"the value is not JSON: {error}") from None
        if type(event) is not dict:
            raise Undecodable("the value is JSON, but not an object")
        return event
