"""What a pod reads from its environment."""

from pathlib import Path

import pytest

from projector.pod import BadSettings, PodSettings

LIMIT = "PROJECTOR_MAX_EVENTS_PER_SECOND"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The least that is enough."""
    uri = tmp_path / "uri"
    uri.write_text("postgresql://nobody@nowhere/none")
    return {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "PROJECTOR_TARGET_URI_FILE": str(uri)}


def test_without_a_limit_there_is_none(environment: dict[str, str]) -> None:
    assert PodSettings.read(environment).means.replay_rate is None


@pytest.mark.parametrize(("text", "rate"), [("1000", 1000), ("33.5", 33.5), ("1e3", 1000)])
def test_a_limit_is_a_number(environment: dict[str, str], text: str, rate: float) -> None:
    assert PodSettings.read({**environment, LIMIT: text}).means.replay_rate == rate


@pytest.mark.parametrize("text", ["", "many", "0", "-5", "nan", "inf", "1e999"])
def test_a_limit_that_is_none_is_said_with_all_else_that_is_wrong(environment: dict[str, str], text: str) -> None:
    with pytest.raises(BadSettings) as caught:
        PodSettings.read({**environment, LIMIT: text, "PROJECTOR_HTTP_PORT": "http"})
    assert [problem.split(" is ")[0] for problem in caught.value.problems] == ["PROJECTOR_HTTP_PORT", LIMIT]
    assert f"{LIMIT} is {text!r}; it must be a number above 0" in caught.value.problems
