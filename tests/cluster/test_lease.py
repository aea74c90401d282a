"""Leadership: one operator acts, another takes over, and one that wakes from its sleep does nothing."""

import signal
from collections.abc import Callable

import pytest

from tests.support import wait
from tests.support.operator_process import QUICK_LEASE, Site


@pytest.fixture
def site(new_site: Callable[[], Site]) -> Site:
    return new_site()


def test_the_next_one_takes_over_after_a_kill(site: Site) -> None:
    topic = site.topic(1)
    first = site.operator(QUICK_LEASE)
    second = site.operator(QUICK_LEASE, wait_until_it_leads=False)
    site.api.apply(site.projection("before", topic))
    site.until_condition("before", "Ready", "True", "Serving")
    wait.true("the second waits", second.waits, 20)
    assert second.http("/readyz")[0] == 200
    assert "projection_operator_leader 0.0" in second.http("/metrics")[1]
    assert not second.leads()
    epoch = site.epoch()

    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    wait.true("the second leads", second.leads, 10)
    site.api.apply(site.projection("after", topic))
    site.until_condition("after", "Ready", "True", "Serving")
    assert site.epoch() == epoch + 1


def test_a_stop_hands_over_at_once(site: Site) -> None:
    first = site.operator()
    second = site.operator(wait_until_it_leads=False)
    wait.true("the second waits", second.waits, 20)
    assert first.stop() == 0
    # The Lease lasts 15 s: only a release is faster.
    wait.true("the second leads", second.leads, 10)


def test_a_sleeper_that_wakes_does_nothing(site: Site) -> None:
    topic = site.topic(1)
    first = site.operator(QUICK_LEASE)
    site.api.apply(site.projection("before", topic))
    site.until_condition("before", "Ready", "True", "Serving")
    second = site.operator(QUICK_LEASE, wait_until_it_leads=False)
    first.process.send_signal(signal.SIGSTOP)
    try:
        wait.true("the second leads", second.leads, 15)
        site.api.apply(site.projection("after", topic))
        site.until_condition("after", "Ready", "True", "Serving")
        epoch, acts = site.epoch(), len(first.lines("act"))
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(20) == 4
    assert first.lines("leadership_lost")
    assert len(first.lines("act")) == acts
    assert site.epoch() == epoch
    (holder,) = (line["holder"] for line in second.lines("leading"))
    lease = site.api.get("lease", site.lease, site.namespace)
    assert lease["spec"]["holderIdentity"] == holder
