"""Definitions as rows of the registry, and columns as DDL."""

from enum import StrEnum
from typing import LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from projector.spec.definition import Definition
from projector.spec.models import Column, ColumnType
from projector.spec.values import default_value

SQL_TYPES: dict[ColumnType, LiteralString] = {
    "text": "text",
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "numeric": "numeric",
    "double precision": "double precision",
    "boolean": "boolean",
    "timestamptz": "timestamptz",
    "date": "date",
    "uuid": "uuid",
    "jsonb": "jsonb",
}
"""Type names as SQL; a definition's own text never becomes a part of a statement."""


GUARD, DELETED = "projection_guard", "projection_deleted"
"""Columns that a table with `ordering: Guarded` has besides; the view does not show them."""


class Ordering(StrEnum):
    """What makes the order of a key's events not matter, or who orders them."""

    PER_KEY = "PerKey"
    COMMUTATIVE = "Commutative"
    GUARDED = "Guarded"


def ordering(definition: Definition) -> Ordering:
    """The definition's ordering."""
    return Ordering(definition.ordering.mode)


def default_literal(column: Column) -> sql.Composed:
    """The column's default as a typed constant, the same value that the fold computes with."""
    value = default_value(column)
    if value is not None and column.type == "jsonb":
        value = Jsonb(value)
    return sql.SQL("CAST({} AS {})").format(sql.Literal(value), sql.SQL(SQL_TYPES[column.type]))


def column_ddl(column: Column, key: tuple[str, ...]) -> sql.Composed:
    """A column inside CREATE TABLE."""
    parts: list[sql.Composable] = [sql.Identifier(column.name), sql.SQL(SQL_TYPES[column.type])]
    if column.name in key:
        parts.append(sql.SQL("NOT NULL"))
    if column.default is not None:
        parts += [sql.SQL("DEFAULT"), default_literal(column)]
    return sql.SQL(" ").join(parts)


def create_table(schema: str, table: str, definition: Definition) -> sql.Composed:
    """CREATE TABLE for the rows of a build."""
    columns = [column_ddl(column, definition.key) for column in definition.columns]
    if ordering(definition) is Ordering.GUARDED:
        columns.append(sql.SQL("{} bigint NOT NULL").format(sql.Identifier(GUARD)))
        columns.append(sql.SQL("{} boolean NOT NULL DEFAULT false").format(sql.Identifier(DELETED)))
    key = sql.SQL("PRIMARY KEY ({})").format(sql.SQL(", ").join(map(sql.Identifier, definition.key)))
    return sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(schema, table), sql.SQL(", ").join([*columns, key]))


def view_query(table_schema: str, table: str, definition: Definition) -> sql.Composed:
    """What the public view shows of a build: the declared columns of the rows that are not deleted."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in definition.columns)
    guarded = ordering(definition) is Ordering.GUARDED
    there = sql.SQL(" WHERE NOT {}").format(sql.Identifier(DELETED)) if guarded else sql.SQL("")
    return sql.SQL("SELECT {} FROM {}{}").format(columns, sql.Identifier(table_schema, table), there)


def create_view(schema: str, name: str, table_schema: str, table: str, definition: Definition) -> sql.Composed:
    """CREATE VIEW for the public name."""
    query = view_query(table_schema, table, definition)
    return sql.SQL("CREATE VIEW {} AS {}").format(sql.Identifier(schema, name), query)


def parse(canonical: str) -> Definition:
    """The definition that a build's row keeps."""
    return Definition.model_validate_json(canonical)
