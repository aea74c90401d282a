"""A team's own code: finding it, and saying what it raised."""

import importlib
import inspect
from traceback import TracebackException

from projector import handlers
from projector.handlers import Handler
from projector.spec.problems import InvalidSpec, Problem, near

LONGEST = 1000
"""Characters of a message: an exception may carry a whole document."""


def function_of(name: str) -> Handler:
    """The function that `package.module:function` names. Raises InvalidSpec, in words for whoever can mend it."""
    module_name, _, function_name = name.partition(":")
    module = _module(module_name)
    found: Handler | None = getattr(module, function_name, None)
    if found is None:
        hint = near(function_name, [known for known in vars(module) if not known.startswith("_")])
        raise _invalid(f"module `{module_name}` has no function `{function_name}`{hint}")
    if not callable(found):
        raise _invalid(f"`{function_name}` of module `{module_name}` is {type(found).__name__}, not a function")
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
        raise _invalid(f"`{function_name}` of module `{module_name}` is async; a handler is a plain function")
    return found


def _module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise _invalid(
                f"there is no module `{error.name}` here: run this in the image that holds the handler, or in the "
                "folder where the module is"
            ) from None
        raise _invalid(f"importing `{name}` failed: {raised(error)}") from None
    except Exception as error:  # noqa: BLE001 - a team's code may raise anything
        raise _invalid(f"importing `{name}` failed: {raised(error)}") from None


def _invalid(message: str) -> InvalidSpec:
    return InvalidSpec((Problem("spec.handler", message),))


def raised(error: Exception) -> str:
    """An exception in one line: its type, its text, and where it was raised; of `event["x"]`, where that stands."""
    told = TracebackException.from_exception(error)
    text = " ".join("".join(told.format_exception_only()).split())
    frames = [frame for frame in told.stack if frame.filename != handlers.__file__]
    if frames:
        last = frames[-1]
        text = f"{text[:LONGEST]} (line {last.lineno} of {last.filename}, in {last.name}: {last.line})"
    return printable(text)


def printable(text: str) -> str:
    """Text that every target can keep: no NUL, no lone surrogates."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")
