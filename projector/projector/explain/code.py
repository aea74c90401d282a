"""The SQL and the Python that run for a Projection."""

import re
from collections.abc import Iterator

from psycopg import sql

from projector.explain.layout import code, heading
from projector.fold.program import Program
from projector.spec.definition import Definition
from projector.spec.models import PostgresqlTarget
from projector.stores.postgres import definitions, indexes, statements
from projector.stores.postgres.layout import Layout

BUILD = 1
"""Number of the build that stands for any in table names."""

_NUMBER = re.compile(r" [0-9a-f]+>$")


def statements_of(definition: Definition, target: PostgresqlTarget) -> Iterator[str]:
    """DDL and the statements of batches."""
    schema, name = target.db_schema, f"{target.table}__b{BUILD}"
    layout = Layout(definition)
    table = statements.Table(schema, name, layout)
    yield from heading(f"SQL: the table of build {BUILD}, and the public name")
    yield from _shown(definitions.create_table(schema, name, definition))
    for index in target.indexes:
        yield from _shown(indexes.create_index(schema, name, index, concurrently=False))
    yield from _shown(definitions.create_view(schema, target.table, schema, name, definition))
    yield from heading("SQL: a small batch, by one array per column")
    yield from _shown(statements.write(table, statements.from_arrays(layout)))
    yield from heading("SQL: a large batch, by way of a temporary table")
    yield from _shown(statements.create_stage(layout))
    yield from _shown(statements.copy_to_stage())
    yield from _shown(statements.write(table, statements.from_stage()), "and so on, as with a small batch")
    if definition.handler or any(rule.on_missing == "Park" for rule in definition.rules):
        yield from heading("SQL: which rows there are, for onMissing: Park")
        yield from _shown(statements.existing(table))


def _shown(statement: sql.Composed, rest: str = "") -> Iterator[str]:
    """The statement; with `rest` its first clause only."""
    text = statement.as_string()
    yield from code(f"{text.splitlines()[0]} ... -- {rest}" if rest else f"{text};")


def python_of(program: Program) -> Iterator[str]:
    """The function of each event type that serves its usual events; others are for those that are odd or bad."""
    seen: set[str] = set()
    for filename, source in program.sources.items():
        label = _NUMBER.sub("", filename.removeprefix("<"))
        if label.startswith("apply") and label not in seen:
            seen.add(label)
            yield from heading(f"Python: {label}")
            yield from ("  " + line for line in source.splitlines())
