"""Checks of secondary indexes against the table's columns."""

from collections.abc import Iterator, Mapping

from projector.spec.models import Column, ColumnType, Index, PostgresqlTarget
from projector.spec.problems import Problem, near

_PATH = "spec.target.postgresql.indexes"

# Each value of a jsonb column is a document: an index of whole documents finds nothing that anybody asks for, and its
# entries soon are too long.
_UNSERVED: Mapping[str, frozenset[ColumnType]] = {
    "btree": frozenset({"jsonb"}),
    "hash": frozenset({"jsonb"}),
    "brin": frozenset({"jsonb", "boolean"}),
}


def check_indexes(table: PostgresqlTarget) -> Iterator[Problem]:
    """Columns that are not there or do not fit the method, and indexes that there would be already."""
    columns = {column.name: column for column in table.columns}
    for position, index in enumerate(table.indexes):
        path = f"{_PATH}[{position}]"
        yield from _columns(path, index, columns)
        if index.method == "hash" and len(index.columns) > 1:
            yield Problem(f"{path}.columns", "an index by hash has one column")
        if index in table.indexes[:position]:
            yield Problem(path, f"is the same as indexes[{table.indexes.index(index)}]")
        if index.method == "btree" and index.columns == table.key[: len(index.columns)]:
            yield Problem(path, f"the index of the primary key serves {index} already")


def _columns(path: str, index: Index, columns: Mapping[str, Column]) -> Iterator[Problem]:
    for position, name in enumerate(index.columns):
        where = f"{path}.columns[{position}]"
        if name not in columns:
            yield Problem(where, f"column `{name}` is not declared{near(name, columns)}")
        elif not serves(index.method, columns[name].type):
            yield Problem(where, _unserved(index.method, columns[name]))
        if name in index.columns[:position]:
            yield Problem(where, f"column `{name}` is named twice")


def serves(method: str, kind: ColumnType) -> bool:
    """Whether an index of this method can have a column of this type."""
    return kind == "jsonb" if method == "gin" else kind not in _UNSERVED[method]


def _unserved(method: str, column: Column) -> str:
    if method == "gin":
        return f"column `{column.name}` is {column.type}; gin serves jsonb columns"
    hint = ": set method: gin" if column.type == "jsonb" else ""
    return f"column `{column.name}` is {column.type}, which {method} does not serve{hint}"
