"""With --local-only nothing is sent to a public address, whatever names, proxies and redirects say."""

from __future__ import annotations

import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from persqa_client.client.local_hosts import LocalResolver, check_local_url
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint
from persqa_client.endpoints.session import Session
from persqa_client.errors import SettingsError
from persqa_client.fetching.policy import AllowedHosts
from persqa_client.run.settings import make_run_settings
from persqa_client.simulator.server import Simulator
from persqa_client.types import Request
from tests.support.cases import each_case
from tests.support.commands import persqa


class FixedResolver(AbstractResolver):
    """Every name has these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@each_case(
    ("url", "is_refused"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://10.1.2.3/v1", False),
        ("http://[fd00::1]/v1", False),
        ("http://gpu.lan/v1", False),  # looked up when it is connected to
        ("http://8.8.8.8/v1", True),
        ("http://[2606:4700::1111]/v1", True),
        ("http://[::ffff:8.8.8.8]/v1", True),
        # Numbers that the system reads as 127.0.0.1 and as 8.8.8.8, and a full stop of Chinese.
        ("http://2130706433/v1", False),
        ("http://0x7f.1/v1", False),
        ("http://127.1/v1", False),
        ("http://134744072/v1", True),
        ("http://0x8.8.8.8/v1", True),
        ("http://8.8/v1", True),
        ("http://8.8.8.8./v1", True),
        ("http://8。8。8。8/v1", True),
        ("http://[::8.8.8.8]/v1", True),
        ("http://[fe80::1%25eth0]/v1", False),
        ("http://127.0.0.1@8.8.8.8/v1", True),
        ("http://8.8.8.8@127.0.0.1/v1", False),
        # Names, whatever their first label looks like.
        ("http://8.8.8.8%00/v1", False),
        ("http://0177.0.0.1/v1", False),  # no URL: refused before
    ],
)
def test_an_address_is_refused_before_anything_is_sent(url: str, is_refused: bool) -> None:
    if not is_refused:
        return check_local_url(url)
    with pytest.raises(SettingsError, match=r"^--local-only: the endpoint .* is not in a private network\."):
        check_local_url(url)
    return None


async def test_a_name_is_connected_to_at_its_private_addresses_alone() -> None:
    found = await LocalResolver(FixedResolver("8.8.8.8", "10.0.0.7")).resolve("gpu.lan", 80)
    assert [each["host"] for each in found] == ["10.0.0.7"]
    with pytest.raises(SettingsError, match=r"the endpoint api\.example \(8\.8\.8\.8\) is not in a private network"):
        await LocalResolver(FixedResolver("8.8.8.8")).resolve("api.example", 80)


@pytest.mark.parametrize("host", ["134744072", "0x8.8.8.8", "010.8.8.8", "8.8.8.8", "::ffff:8.8.8.8"])
async def test_the_address_of_each_connection_is_checked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of aiohttp differ in the hosts that they resolve, and those that they take for addresses."""

    async def take_for_address(*args: object, **settings: object) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=host, port=80, family=socket.AF_INET, proto=0, flags=0)]

    monkeypatch.setattr(aiohttp.TCPConnector, "_resolve_host", take_for_address)
    endpoint = Endpoint(base_url="http://gpu.lan/v1", model="m", local_only=True)
    async with Client(endpoint, timeout=1) as client:
        with pytest.raises(SettingsError, match=r"^--local-only: the endpoint .* is not in a private network"):
            await client.send(b"{}")


async def test_a_request_to_a_public_name_ends_the_run(simulator: Simulator) -> None:
    port = simulator.base_url.removesuffix("/v1").rpartition(":")[2]
    for address, is_reached in (("127.0.0.1", True), ("8.8.8.8", False)):
        endpoint = Endpoint(base_url=f"http://api.example:{port}/v1", model="persqa-simulator", local_only=True)
        async with Session(endpoint) as session:
            transport = session.client._sdk.transport
            assert transport is not None
            transport._resolver = LocalResolver(FixedResolver(address))
            request = Request(system="", pictures=(), prompt="Hello", seed=0)
            if is_reached:
                assert (await session.complete(request)).completion.text
            else:
                with pytest.raises(SettingsError, match=r"^--local-only: the endpoint api\.example"):
                    await session.complete(request)


def test_a_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://10.0.0.1:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(SettingsError, match=r"the environment names a proxy for http://10\.0\.0\.9/v1"):
        Client(Endpoint(base_url="http://10.0.0.9/v1", model="m", local_only=True))


def test_pictures_come_from_hosts_that_are_allowed_and_not_public() -> None:
    allowed = AllowedHosts.parse(["pictures.lan", "8.0.0.0/8", "10.0.0.0/8"], local_only=True)
    assert allowed.permit("pictures.lan", "192.168.0.1")
    assert allowed.permit("other.lan", "10.0.0.1")
    assert not allowed.permit("other.lan", "192.168.0.1")
    # The host of a redirect is checked in the same way.
    assert not allowed.permit("pictures.lan", "93.184.216.34")
    assert not allowed.permit("8.8.8.8", "8.8.8.8")
    with pytest.raises(SettingsError, match="--local-only downloads pictures only from hosts that --fetch-allow names"):
        make_run_settings([Endpoint(base_url="http://127.0.0.1/v1", model="m")], {"local_only": True, "fetch": True})


def test_the_command_says_it_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"image": "a.png"}\n')
    result = persqa(
        "run", "in.jsonl", "-o", "qa.jsonl", "--base-url", "http://8.8.8.8/v1", "--local-only", cwd=tmp_path
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "--local-only: the endpoint 8.8.8.8 is not in a private network. Nothing was sent to it." in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_the_resolver_is_made_where_no_event_loop_runs() -> None:
    """As for each run of the command."""
    assert LocalResolver() is not None
