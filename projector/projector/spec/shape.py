"""What the models refuse, said in plain words: wrong types, missing and unknown fields, values out of bounds."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from projector.spec.models import ProjectionSpec
from projector.spec.problems import Problem, near

Context = Mapping[str, Any]


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """Problems for every fault that pydantic found in a ProjectionSpec."""
    return tuple(_problem(details) for details in error.errors())


def _problem(details: ErrorDetails) -> Problem:
    return Problem(_path(details["loc"]), _message(details))


def _path(loc: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc if step != "[key]")
    return "spec" + "".join(steps)


def _message(details: ErrorDetails) -> str:
    if details["type"] == "extra_forbidden":
        field = str(details["loc"][-1])
        return f"there is no field `{field}` here{near(field, _fields(details['loc'][:-1]))}"
    if details["type"].endswith("_type") and isinstance(details["input"], bool):
        return (
            f"was read as {str(details['input']).lower()}: YAML 1.1 takes on, off, yes, no, true and false for "
            "truth values; quote it"
        )
    if details["type"] == "string_pattern_mismatch" and details["loc"] == ("handler",):
        return "must be package.module:function"
    words = _WORDS.get(details["type"])
    return words(details.get("ctx", {})) if words else details["msg"]


def _fields(loc: tuple[int | str, ...]) -> list[str]:
    """Names that the model at `loc` knows, as they are written in YAML."""
    model: type[BaseModel] | None = ProjectionSpec
    for step in loc:
        if model is not None and isinstance(step, str):
            model = _model_of(model, step)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_of(model: type[BaseModel], alias: str) -> type[BaseModel] | None:
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    return _first_model(fields.get(alias))


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_first_model, get_args(annotation))), None)


_WORDS: dict[str, Callable[[Context], str]] = {
    "missing": lambda _: "is missing",
    "string_type": lambda _: "must be text; put it in quotes",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "dict_type": lambda _: "must be a mapping of names to values",
    "model_type": lambda _: "must be a mapping of names to values",
    "tuple_type": lambda _: "must be a list",
    "list_type": lambda _: "must be a list",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda ctx: f"is longer than {ctx['max_length']} characters",
    "too_short": lambda ctx: f"needs at least {ctx['min_length']} entry",
    "too_long": lambda ctx: f"has more than {ctx['max_length']} entries",
    "literal_error": lambda ctx: f"must be one of {ctx['expected'].replace(' or ', ', ')}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "string_pattern_mismatch": lambda ctx: f"must match {ctx['pattern']}",
}
