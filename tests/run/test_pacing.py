"""What rate limits leave of the probes, and what is said about a slow run."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.config import Endpoint, Limits, Recipe, Sampling, build_settings
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.inputs.sources import InMemorySource
from persqa_client.probing.probe import ProbeDepth
from persqa_client.run.pacing import announce_pace, plan_probes
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.simulator.server import SimSettings, run_simulator
from tests.support.cases import each_case


def settings(strategy: Any = "auto", *, url: str = "http://gpu.example/v1", **limits: Any) -> RunSettings:
    return RunSettings(
        input=None,
        output=None,
        endpoint=Endpoint(base_url=url, model="persqa-simulator"),
        limits=Limits(**limits),
        recipe=Recipe(strategy=strategy),
    )


@each_case(
    ("given", "depth", "says"),
    [
        pytest.param(settings(), "all", None, id="no limit"),
        pytest.param(settings(rpm=300), "all", None, id="fast"),
        pytest.param(settings(rpm=20), "all", None, id="just in time"),
        pytest.param(settings(rpm=10), "strategy", None, id="only what the strategy needs"),
        pytest.param(settings(rpm=3), "identity", "With --rpm 3, the probes would take about 160 s", id="too slow"),
        pytest.param(settings("direct", rpm=3), "strategy", None, id="the vision check alone"),
        pytest.param(settings("direct", rpm=1), "identity", "With --rpm 1", id="not even that"),
        pytest.param(settings("constrain", rpm=3), "strategy", "the probes of --strategy constrain take", id="needed"),
        pytest.param(settings(rps=0.1, rpm=300), "identity", "With --rps 0.1", id="the lowest limit counts"),
        pytest.param(settings(rpm=300, tpm=1000), "identity", "With --tpm 1000", id="tokens"),
        pytest.param(settings(tpm=10_000), "all", None, id="enough tokens"),
    ],
)
def test_the_probes_take_a_minute_at_most(given: RunSettings, depth: ProbeDepth, says: str | None) -> None:
    found, warning = plan_probes(given, "all")
    assert found == depth
    assert (warning is None) if says is None else (warning is not None and says in warning)


def test_no_probes_stay_none() -> None:
    assert plan_probes(settings(rpm=1), "identity") == ("identity", None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(settings(), [], id="no limit"),
        pytest.param(settings(rpm=60), [], id="fast enough"),
        pytest.param(settings(rpm=3), ["With --rpm 3, a request is sent every 20 s."], id="few requests"),
        pytest.param(settings(tpm=1000), ["--tpm 1000 is less than one request with a large picture"], id="few tokens"),
        pytest.param(settings(tpm=3200), ["With --tpm 3200, a request is sent every 30 s."], id="slow by tokens"),
    ],
)
def test_a_slow_pace_is_announced(given: RunSettings, says: list[str]) -> None:
    found = announce_pace(given)
    assert len(found) == len(says)
    assert all(text in warning for text, warning in zip(says, found, strict=True))


def test_a_token_limit_below_one_request_is_refused() -> None:
    endpoint = Endpoint(base_url="http://gpu.example/v1", model="m")
    common = {"input": None, "output": None, "endpoint": endpoint}
    with pytest.raises(SettingsError, match=r"^--tpm 100 is less than one request: .* 512 tokens \(--max-tokens\)"):
        build_settings(RunSettings, **common, limits=Limits(tpm=100))
    build_settings(RunSettings, **common, limits=Limits(tpm=100), sampling=Sampling(max_tokens=100))


async def test_a_run_with_few_requests_a_minute_sends_no_probe() -> None:
    warnings: list[str] = []
    with run_simulator(SimSettings(latency=0)) as server:
        await Run(settings(url=server.base_url, rpm=2), InMemorySource([]), warn=warnings.append).execute()
        assert server.stats()["requests"] == 0
    assert [warning.partition(",")[0] for warning in warnings] == ["With --rpm 2", "With --rpm 2"]


@pytest.mark.slow  # waits for the rate of its requests
async def test_fewer_probes_still_stop_a_run_without_pictures() -> None:
    with run_simulator(SimSettings(latency=0, blind=True)) as server:
        run = Run(settings("direct", url=server.base_url, rps=0.3), InMemorySource([]))
        assert plan_probes(run.settings, "all")[0] == "strategy"
        with pytest.raises(RunStopped) as caught:
            await run.execute()
    assert caught.value.code == "no_pictures"
