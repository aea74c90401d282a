"""An API server of the tests' own, with the CRD, and places in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.support.api_server import Api
from tests.support.operator_process import ROOT, Site


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The parts that these tests need."""
    sandbox = Sandbox()
    sandbox.up("apiserver", "postgres", "kafka")
    return sandbox


@pytest.fixture(scope="session")
def api(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """With the committed CRDs."""
    made = Api(sandbox, tmp_path_factory.mktemp("api"))
    try:
        made.start()
        made.kubectl("apply", "--server-side", f"--filename={ROOT / 'crds'}")
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def new_site(api: Api, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Site]]:
    """Makes places; each is removed at the end of the module."""
    sites: list[Site] = []
    folder: Path = tmp_path_factory.mktemp("site")

    def make() -> Site:
        sites.append(Site(api, sandbox, folder))
        sites[-1].open()
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture(scope="module")
def site(new_site: Callable[[], Site]) -> Site:
    """A place with an operator."""
    made = new_site()
    made.operator()
    return made
