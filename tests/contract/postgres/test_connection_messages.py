"""What a person reads when there is no connection: where, why, and never a secret."""

import socket
from collections.abc import Callable, Iterator

import pytest

from projector.ports import Place, StoreUnavailable
from projector.registry import Identity
from projector.stores.postgres import PostgresRegistry, PostgresStore, current_role, load_build, probe
from tests.contract.store_contract import COUNTED, FIRST
from tests.support.postgres import INSTALLATION, PASSWORD, Database, begin

SECRET = "do-not-show"  # noqa: S105 - a wrong one


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose queue is full, so that a connection gets no answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield int(server.getsockname()[1])


def _registry(uri: str) -> None:
    PostgresRegistry(uri, INSTALLATION).observe(Identity(INSTALLATION, "shop", "orders"))


CALLS: list[Callable[[str], object]] = [probe, _registry, lambda uri: load_build(uri, 1)]


@pytest.mark.parametrize("call", CALLS)
def test_wrong_password(database: Database, call: Callable[[str], object]) -> None:
    role = database.role("worker")
    uri = database.uri(role, password=SECRET)
    with pytest.raises(StoreUnavailable) as down:
        call(uri)
    place = uri.split("@")[1]
    assert str(down.value) == f'{place}: password authentication failed for user "{role}"'
    assert down.value.__cause__ is None


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listens(database: Database, closed_port: int, call: Callable[[str], object]) -> None:
    with pytest.raises(StoreUnavailable) as down:
        call(database.uri(port=closed_port))
    assert str(down.value) == f"127.0.0.1:{closed_port}/{database.name}: connection refused"


def test_no_answer(database: Database, silent_port: int) -> None:
    with pytest.raises(StoreUnavailable) as down:
        probe(database.uri(port=silent_port))
    assert str(down.value) == f"127.0.0.1:{silent_port}/{database.name}: no answer within the time limit"


def test_missing_database(database: Database) -> None:
    uri = database.uri(dbname="nowhere")
    with pytest.raises(StoreUnavailable) as down:
        probe(uri)
    assert str(down.value) == f'{uri.split("@")[1]}: database "nowhere" does not exist'


def test_unknown_host(database: Database) -> None:
    with pytest.raises(StoreUnavailable) as down:
        probe(database.uri(host="db.invalid", port=5432))
    assert str(down.value) == f"db.invalid:5432/{database.name}: unknown host"


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql//me:{SECRET}@db:5432/app",
        f"postgresql://me:{SECRET}@db:5432/app?unknown=1",
        f"postgresql://me:{SECRET}@[db:5432/app",
        f"host=db password={SECRET} nonsense",
    ],
)
def test_a_uri_that_cannot_be_read_is_not_repeated(uri: str) -> None:
    with pytest.raises(StoreUnavailable) as down:
        probe(uri)
    expected = "the connection URI cannot be read; it must look like postgresql://user:password@host:5432/database"
    assert str(down.value) == expected
    assert down.value.__cause__ is None


def test_a_store_goes_on_when_the_secret_is_mended(database: Database) -> None:
    role = database.role("worker")
    build = begin(database, COUNTED, [FIRST], role)
    passwords = iter([SECRET, PASSWORD])
    store = PostgresStore(lambda: database.uri(role, password=next(passwords)), build.spec, 1)
    with pytest.raises(StoreUnavailable, match="password authentication failed"):
        store.positions([FIRST])
    assert store.positions([FIRST]) == {FIRST: Place(0)}
    store.close()
    build.close()


def test_probe_tells_who_and_what(database: Database) -> None:
    role = database.role("worker")
    seen = probe(database.uri(role))
    assert (seen.role, seen.database) == (role, database.name)
    assert seen.server_version >= 150000
    assert current_role(database.uri()) == "postgres"
