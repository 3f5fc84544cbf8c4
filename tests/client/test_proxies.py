"""The proxies and certificates that the environment names. No proxy is used for loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from persqa_client.client.aiohttp_transport import find_proxy
from persqa_client.client.request import Body
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint
from persqa_client.endpoints.session import Session
from persqa_client.errors import SettingsError
from persqa_client.probing.probe import identify_server
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.types import EncodedImage, RetryAction
from persqa_client.urls import is_loopback
from tests.client.attempts import BODY, client_of, failure, recording
from tests.client.local_proxy import HOST, running_proxy, running_tls_server
from tests.client.raw_server import make_reply, serve_raw_reply
from tests.support.cases import each_case
from tests.support.endpoints import Handler, completion_response, serve_handler

KEY = "for-this-host-alone"
CHAT = "/v1/chat/completions"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return authority


def recording_all(bodies: list[bytes], heads: list[dict[str, str]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        heads.append({name.lower(): value for name, value in request.headers.items()})
        bodies.append(await request.read())
        return completion_response()

    return handle


async def models_at(base_url: str) -> tuple[str, ...]:
    async with Session(Endpoint(base_url=base_url, model="persqa-simulator")) as session:
        return (await identify_server(session)).models


async def test_probes_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator takes the place of the proxy, and the host does not exist."""
    with run_simulator(SimSettings(latency=0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await models_at("http://model.invalid/v1") == ("persqa-simulator",)


async def test_loopback_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with run_simulator(SimSettings(latency=0)) as server:
        assert await models_at(server.base_url) == ("persqa-simulator",)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_chat_over_http_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    bodies, heads = list[bytes](), list[dict[str, str]]()
    body = Body((b'{"picture": "', EncodedImage(bytes(200_001), "image/jpeg", 1, 1), b'"}'))
    async with serve_handler(recording_all(bodies, heads)) as url, running_proxy(url) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with client_of(f"http://{HOST}/v1", key=KEY) as client:
            for _ in range(3):
                assert (await client.send(body)).text
    assert proxy.targets == [f"POST http://{HOST}{CHAT}"] * 3
    assert bodies == [bytes(body)] * 3
    assert {(head["host"], head["authorization"]) for head in heads} == {(HOST, f"Bearer {KEY}")}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_chat_over_https_goes_through_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, variable: str
) -> None:
    bodies, heads = list[bytes](), list[dict[str, str]]()
    async with running_tls_server(recording_all(bodies, heads), authority) as url, running_proxy(url) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with client_of(f"https://{HOST}/v1", key=KEY) as client:
            for _ in range(3):
                assert (await client.send(BODY)).text
    assert set(proxy.targets) == {f"CONNECT {HOST}:443"}
    assert KEY not in "".join(proxy.heads)
    assert bodies == [BODY] * 3
    assert {head["authorization"] for head in heads} == {f"Bearer {KEY}"}


async def test_an_unknown_certificate_is_reported(monkeypatch: pytest.MonkeyPatch, authority: trustme.CA) -> None:
    async with running_tls_server(recording([]), authority) as url, running_proxy(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with client_of(f"https://{HOST}/v1") as client:
            decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.STOP, "no_connection_tls")


@pytest.mark.parametrize("named", ["SSL_CERT_FILE", "nothing"])
async def test_a_named_certificate_is_trusted_on_loopback_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, named: str
) -> None:
    async with running_tls_server(recording([]), authority) as url:
        monkeypatch.setenv(named, str(tmp_path / "ca.pem"))
        async with client_of(f"{url}/v1") as client:
            if named == "SSL_CERT_FILE":
                assert (await client.send(BODY)).text
                assert (await client.send(BODY)).text
            else:
                assert (await failure(client)).code == "no_connection_tls"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxys_credentials_are_sent_only_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, scheme: str
) -> None:
    bodies, heads = list[bytes](), list[dict[str, str]]()
    handler = recording_all(bodies, heads)
    server = running_tls_server(handler, authority) if scheme == "https" else serve_handler(handler)
    async with server as url, running_proxy(url) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("//", "//user:pass%20word@"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with client_of(f"{scheme}://{HOST}/v1") as client:
            assert (await client.send(BODY)).text
            assert (await client.send(BODY)).text
    assert "Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n" in proxy.heads[0]
    assert all("proxy-authorization" not in head for head in heads)


@pytest.mark.parametrize(
    ("status", "action", "code", "words"),
    [
        (403, RetryAction.STOP, "no_connection_proxy", "answered 403"),
        (407, RetryAction.STOP, "no_connection_proxy", "asks for credentials (407)"),
        (502, RetryAction.RETRY, "connection_lost", "answered 502"),
        (503, RetryAction.RETRY, "connection_lost", "answered 503"),
    ],
)
async def test_a_refused_tunnel_is_the_proxys(
    monkeypatch: pytest.MonkeyPatch, status: int, action: RetryAction, code: str, words: str
) -> None:
    async with running_proxy("http://127.0.0.1:9", status=status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:secret@"))
        async with client_of(f"https://{HOST}/v1") as client:
            decision = await failure(client)
    assert (decision.action, decision.code) == (action, code)
    assert words in decision.message
    assert "secret" not in decision.message


async def test_a_proxy_that_asks_for_credentials_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = make_reply("407 Proxy Authentication Required", b"", "Proxy-Authenticate: Basic")
    async with serve_raw_reply(reply) as url:
        monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/v1"))
        async with client_of(f"http://{HOST}/v1") as client:
            decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.STOP, "no_connection_proxy")
    assert "HTTP_PROXY=" in decision.message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dead_proxy_stops_the_run(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"http://user:secret@127.0.0.1:{port}")
    async with client_of(f"{scheme}://{HOST}/v1") as client:
        decision = await failure(client)
    assert (decision.action, decision.code) == (RetryAction.STOP, "no_connection_proxy")
    assert "secret" not in decision.message


@pytest.mark.usefixtures("host_is_loopback")
@pytest.mark.parametrize(
    ("excepted", "direct"),
    [
        (HOST, True),
        ("example.test", True),
        (".example.test", True),
        ("*", True),
        (f"other.test, {HOST}", True),
        ("other.test", False),
        ("ple.test", False),
        ("", False),
    ],
)
async def test_hosts_in_no_proxy_are_reached_without_it(
    monkeypatch: pytest.MonkeyPatch, excepted: str, direct: bool
) -> None:
    async with serve_handler(recording([])) as url, running_proxy(url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", excepted)
        port = url.rpartition(":")[2]
        async with client_of(f"http://{HOST}:{port}/v1") as client:
            assert (await client.send(BODY)).text
            assert (await client.send(BODY)).text
    assert len(proxy.targets) == (0 if direct else 2)


async def test_networks_in_no_proxy_are_reached_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses, reserved for documentation, lead nowhere. The one outside the network reaches the proxy."""
    async with serve_handler(recording([])) as url, running_proxy(url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "192.0.2.0/24")
        async with client_of("http://192.0.2.7/v1", timeout=0.2) as near, client_of("http://198.51.100.7/v1") as far:
            await failure(near)
            assert (await far.send(BODY)).text
    assert proxy.targets == [f"POST http://198.51.100.7{CHAT}"]


@pytest.mark.parametrize("url", [f"https://{HOST}/v1", f"http://{HOST}/v1"])
def test_a_socks_proxy_that_a_request_would_use_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("all_proxy", "socks5://user:secret@127.0.0.1:1080")
    with pytest.raises(SettingsError, match=r"names a socks5:// proxy for .* NO_PROXY\.$") as caught:
        client_of(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_socks_proxy_that_no_request_uses_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with run_simulator(SimSettings(latency=0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await models_at("http://model.invalid/v1") == ("persqa-simulator",), "HTTP_PROXY is for this scheme"
        assert await models_at(proxy.base_url) == ("persqa-simulator",), "loopback"
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.setenv("NO_PROXY", HOST)
    assert find_proxy(f"https://{HOST}/v1") is None


@pytest.mark.parametrize("address", ["http://[::1", "http://host:port", "gopher://host:70"])
def test_an_address_that_is_no_proxy_is_one_sentence(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(SettingsError, match=r"HTTPS_PROXY") as caught:
        find_proxy(f"https://{HOST}/v1")
    assert "\n" not in str(caught.value)


def test_no_proxy_alone_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "other.test,10.0.0.0/8")
    assert find_proxy(f"https://{HOST}/v1") is None


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "nothing"])
async def test_a_given_authority_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, variable: str
) -> None:
    """It takes precedence over the environment."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv(variable, str(tmp_path / "other.pem"))
    async with running_tls_server(recording([]), authority) as url:
        endpoint = Endpoint(base_url=f"{url}/v1", model="qwen", ca_cert=tmp_path / "ca.pem")
        async with Client(endpoint, timeout=5.0) as client:
            assert (await client.send(BODY)).text


@pytest.mark.parametrize("files", ["one", "two", "none"])
async def test_a_client_certificate_is_presented(tmp_path: Path, authority: trustme.CA, files: str) -> None:
    own = authority.issue_cert("client.test")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    given = {"one": ("both.pem",), "two": ("cert.pem", "key.pem"), "none": ()}[files]
    certificates = {name: tmp_path / file for name, file in zip(("client_cert", "client_key"), given, strict=False)}
    async with running_tls_server(recording([]), authority, wants_certificate=True) as url:
        common = {"base_url": f"{url}/v1", "model": "qwen", "ca_cert": tmp_path / "ca.pem"}
        endpoint = Endpoint.model_validate(common | certificates)
        async with Client(endpoint, timeout=5.0) as client:
            if files == "none":
                await failure(client)
            else:
                assert (await client.send(BODY)).text


def write_certificates(folder: Path, authority: trustme.CA) -> None:
    (folder / "empty.pem").touch()
    (folder / "text.pem").write_text("no certificate")
    authority.issue_cert("client.test").cert_chain_pems[0].write_to_path(folder / "no-key.pem")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    password = serialization.BestAvailableEncryption(b"password")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password)
    (folder / "locked.pem").write_bytes(pem)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"ca_cert": "missing.pem"}, "--ca-cert: missing.pem can't be read (No such file or directory)."),
        ({"ca_cert": "."}, "--ca-cert: . can't be read (Is a directory)."),
        ({"ca_cert": "empty.pem"}, "--ca-cert: empty.pem holds no certificates in PEM format."),
        ({"ca_cert": "text.pem"}, "--ca-cert: text.pem holds no certificates in PEM format."),
        ({"client_cert": "missing.pem"}, "--client-cert: missing.pem can't be read (No such file or directory)."),
        ({"client_cert": "text.pem"}, "--client-cert: text.pem holds no certificate with its key in PEM format"),
        ({"client_cert": "no-key.pem"}, "--client-cert: no-key.pem holds no certificate with its key in PEM format"),
        ({"client_cert": "no-key.pem", "client_key": "missing.pem"}, "--client-cert: missing.pem can't be read"),
        ({"client_cert": "no-key.pem", "client_key": "locked.pem"}, "unencrypted; give a separate key as FILE:KEY."),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value.values()),
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_invalid_certificate_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    authority: trustme.CA,
    files: dict[str, str],
    says: str,
    scheme: str,
) -> None:
    write_certificates(tmp_path, authority)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        Client(Endpoint.model_validate({"base_url": f"{scheme}://{HOST}/v1", "model": "qwen", **files}))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.pem", "text.pem"])
def test_an_invalid_ssl_cert_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, name: str
) -> None:
    write_certificates(tmp_path, authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with pytest.raises(SettingsError, match=rf"^SSL_CERT_FILE: .*{name} (can't be read|holds no certificates)"):
        client_of(f"https://{HOST}/v1")
    client_of(f"http://{HOST}/v1")


async def test_a_redirect_is_not_followed_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://elsewhere.test/v1/chat/completions"})

    async with serve_handler(redirect) as url, running_proxy(url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with client_of(f"http://{HOST}/v1", key=KEY) as client:
            decision = await failure(client)
    assert len(proxy.targets) == 1
    assert (decision.action, decision.code) == (RetryAction.STOP, "redirected")
    assert "http://elsewhere.test/v1/chat/completions" in decision.message


@each_case(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.3.2.1/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("https://localhost.example.com/v1", False),
        ("https://api.openai.com/v1", False),
        ("http://0.0.0.0:8000/v1", True),
        ("http://[::]:8000/v1", True),
        ("http://[::ffff:127.0.0.1]:8000/v1", True),
        ("http://[::ffff:10.0.0.1]:8000/v1", False),
        ("http://localhost.:8000/v1", True),
        ("http://127.1:8000/v1", True),
        ("http://0x7f000001/v1", True),
        ("http://10.1/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
    ],
)
def test_which_addresses_are_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
