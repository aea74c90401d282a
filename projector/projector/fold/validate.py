"""All that can be said of a spec before it runs: the operator's first pass and `projector lint` ask here."""

from projector.fold.compile import compile_definition
from projector.fold.plan import plan_handler
from projector.spec.checks import check
from projector.spec.definition import Definition
from projector.spec.models import ProjectionSpec
from projector.spec.problems import InvalidSpec


def validate(spec: ProjectionSpec) -> None:
    """Check a spec whole, expressions included. Raises InvalidSpec with all problems found.

    A handler is not imported: it is in an image of its own, and its code is nothing for the operator to run.
    """
    if problems := check(spec):
        raise InvalidSpec(problems)
    definition = Definition.of(spec)
    if definition.handler:
        plan_handler(definition)
    else:
        compile_definition(definition)
