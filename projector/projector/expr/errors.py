"""What goes wrong with an expression: before anything runs (`ExprError`) and on an event (`EvalError`)."""


class ExprError(Exception):
    """An expression that cannot be served. `position` is the 1-based column inside its text."""

    def __init__(self, message: str, position: int) -> None:
        self.message = message
        self.position = position
        super().__init__(message)


class EvalError(Exception):
    """An expression has no value for this event; the text names the part of the expression, not the data."""
