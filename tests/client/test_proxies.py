"""A proxy of the environment is used, and never for this machine itself."""

from __future__ import annotations

import pytest

from persqa_client.config import Endpoint, is_loopback
from persqa_client.endpoints.session import Session
from persqa_client.probing.probe import identify_server
from persqa_client.simulator.server import SimSettings, run_simulator


async def models_at(base_url: str) -> tuple[str, ...]:
    async with Session(Endpoint(base_url=base_url, model="persqa-simulator")) as session:
        return (await identify_server(session)).models


async def test_a_proxy_is_asked_for_hosts_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator stands in for the proxy: it is asked for a host that no name server knows."""
    with run_simulator(SimSettings(latency=0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await models_at("http://model.invalid/v1") == ("persqa-simulator",)


async def test_this_machine_is_reached_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with run_simulator(SimSettings(latency=0)) as server:
        assert await models_at(server.base_url) == ("persqa-simulator",)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.3.2.1/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("https://localhost.example.com/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_which_addresses_are_this_machine(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
