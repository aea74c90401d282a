"""All that can be said of a spec before it runs: the operator's first pass and `projector lint` ask here."""

from projector.fold.compile import Program, compile_definition
from projector.spec.checks import check
from projector.spec.definition import Definition
from projector.spec.models import ProjectionSpec
from projector.spec.problems import InvalidSpec


def validate(spec: ProjectionSpec) -> Program:
    """Check a spec whole, expressions included, and return its program. Raises InvalidSpec with all problems found."""
    if problems := check(spec):
        raise InvalidSpec(problems)
    return compile_definition(Definition.of(spec))
