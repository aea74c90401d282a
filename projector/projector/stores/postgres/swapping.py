"""The swap: another build under the public name. What happens stands in `migrations/0003_swap.sql`."""

from psycopg import Cursor

from projector.registry import SwapTerms, WrongState
from projector.stores.postgres.definitions import parse, view_query
from projector.stores.postgres.session import Session

_BUILD = "SELECT table_schema, table_name, definition FROM projections.build WHERE number = %s"
_SWAP = "SELECT projections.swap(%s, %s, %s, %s, %s::text[], %s, %s, %s, %s::text[], %s::integer[])"


def swap(session: Session, installation: str, epoch: int, build: int, terms: SwapTerms) -> None:
    """See `projector.registry.Registry.swap`."""
    query, columns = session.run(lambda cursor: _view(cursor, build))
    times = (terms.gate_ms, terms.view_ms, terms.wait_for_snapshots)
    lost = sorted(terms.ungated)
    lanes = ([partition.topic_id for partition in lost], [partition.number for partition in lost])
    session.alone(_SWAP, (installation, epoch, build, query, columns, *times, *lanes))


def _view(cursor: Cursor, build: int) -> tuple[str, list[str]]:
    """Query and columns of the view over a build."""
    row = cursor.execute(_BUILD, (build,)).fetchone()
    if row is None:
        raise WrongState(f"there is no build {build}")
    schema, table, canonical = row
    definition = parse(canonical)
    return view_query(schema, table, definition).as_string(cursor), [column.name for column in definition.columns]
