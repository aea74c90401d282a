"""Secondary indexes with `projector run -f`, which is its own control plane."""

from contextlib import closing
from unittest.mock import create_autospec

import pytest

from projector.ports import Ends
from projector.registry import BuildState, BuildView, Identity, RegistryError
from projector.sources.kafka_admin import KafkaAdmin
from projector.spec.load import load_spec
from projector.spec.models import Index
from projector.standalone import INSTALLATION, Control, Request
from projector.stores.postgres import PostgresRegistry
from tests.support.postgres import ORDERS, Database
from tests.support.specs import spec_data

IDENTITY = Identity(INSTALLATION, "default", "orders")
NOTHING = {partition: Ends(0, 0) for partition in ORDERS}
LONG = "INSERT INTO t__b1 (id, name) SELECT 'o', string_agg(md5(n::text), '') FROM generate_series(1, 999) n"


def look(registry: PostgresRegistry) -> BuildView:
    view = registry.observe(IDENTITY)
    assert view is not None
    return view.builds[-1]


def test_it_makes_indexes_before_the_view_and_changes_them_when_it_is_started_again(database: Database) -> None:
    admin = create_autospec(KafkaAdmin, instance=True)
    admin.describe.return_value = NOTHING
    with closing(PostgresRegistry(database.uri(), INSTALLATION)) as registry:

        def control(*columns: str) -> Control:
            spec = load_spec(spec_data(indexes=[{"columns": [one]} for one in columns]))
            made = Control(
                Request("orders", "default", spec, database.uri(), ("kafka:9092",), None, None), registry, admin
            )
            made.prepare()
            return made

        first = control("name", "day")
        database.run(LONG)
        for _ in range(2):
            with pytest.raises(RegistryError, match=r"index \(name\) cannot be made: index row requires"):
                first._advance()
        assert look(registry).state is BuildState.REPLAYING
        # What failed is left alone for a while: one try, and not one a second.
        assert database.run("SELECT count(*) FROM projections.history WHERE what = 'IndexFailed'") == [(1,)]
        second = control("day")
        for state in (BuildState.CATCHING_UP, BuildState.LIVE):
            second._advance()
            assert look(registry).state is state
        assert look(registry).indexes.analyzed_at is not None
        control("total")._advance()
        assert [one.index for one in look(registry).indexes.made] == [Index(columns=("total",))]
