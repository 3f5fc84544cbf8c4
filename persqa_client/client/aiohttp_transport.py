"""HTTP over aiohttp for one endpoint: connections, proxy, certificates.

A request that fails because the server closed an idle connection at that moment is sent again on a new one.

``get_environment_proxies`` and ``URLPattern`` are private names of httpx2, which applies proxy variables only to its
own transport. It supports networks in NO_PROXY (10.0.0.0/8); urllib does not.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import aiohttp
import httpx2
import pybase64
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from httpx2._utils import URLPattern, get_environment_proxies
from multidict import CIMultiDict
from yarl import URL

from persqa_client.client.idle_connections import CONNECTION, IdleConnector, IdleProtocol, find_id
from persqa_client.client.local_hosts import LocalResolver, open_local_socket
from persqa_client.client.request import Body
from persqa_client.client.response_body import (
    AnswerStream,
    is_stream,
    is_whole_answer,
    make_received,
    make_response,
    receive_body,
)
from persqa_client.config import Endpoint
from persqa_client.errors import SettingsError
from persqa_client.urls import is_loopback

# Seconds to keep idle connections. uvicorn, vLLM's server, closes them after 5 s.
KEEP_ALIVE = 4.0
Send = Callable[[aiohttp.ClientSession], Awaitable[aiohttp.ClientResponse]]
# Gateways add headers of some kilobytes; aiohttp's own limit is 8,190 bytes.
MAX_HEADER_SIZE = 65_536
PROXY_SCHEMES = frozenset(("http", "https"))


def find_proxy(url: str) -> httpx2.Proxy | None:
    """The proxy that the environment names for a URL (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY); none for loopback.

    Raises SettingsError if it is not an HTTP proxy.
    """
    if is_loopback(url):
        return None
    patterns = sorted((URLPattern(pattern), proxy or "") for pattern, proxy in get_environment_proxies().items())
    address = next((proxy for pattern, proxy in patterns if pattern.matches(httpx2.URL(url))), "")
    if not address:
        return None
    scheme = address.partition("://")[0].lower()
    if scheme not in PROXY_SCHEMES:
        # The address may contain a password.
        raise SettingsError(
            f"The environment names a {scheme}:// proxy for {url}, but only http:// and https:// proxies are "
            "supported: change ALL_PROXY, HTTP_PROXY or HTTPS_PROXY, or add the host to NO_PROXY."
        )
    try:
        return httpx2.Proxy(address)
    except (httpx2.InvalidURL, ValueError):
        raise SettingsError(
            f"The environment names a proxy for {url} whose address is not valid: correct HTTP_PROXY, HTTPS_PROXY or "
            "ALL_PROXY."
        ) from None


def make_tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """None if the endpoint needs no TLS. Raises SettingsError for a missing or invalid file."""
    if not (endpoint.base_url.startswith("https:") or endpoint.ca_cert or endpoint.client_cert):
        return None
    if endpoint.ca_cert is not None:
        with error_about_file("--ca-cert", endpoint.ca_cert, "holds no certificates in PEM format"):
            context = ssl.create_default_context(cafile=endpoint.ca_cert)
    else:
        named = os.environ.get("SSL_CERT_FILE", "the system's list of authorities")
        with error_about_file("SSL_CERT_FILE", named, "holds no certificates in PEM format"):
            context = httpx2.create_ssl_context()
    if endpoint.client_cert is not None:
        for path in filter(None, (endpoint.client_cert, endpoint.client_key)):
            with error_about_file("--client-cert", path, ""):
                path.open("rb").close()
        lack = "holds no certificate with its key in PEM format, unencrypted; give a separate key as FILE:KEY"
        with error_about_file("--client-cert", endpoint.client_cert, lack):
            # Without a password, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(endpoint.client_cert, endpoint.client_key, password=b"")
    return context


@contextmanager
def error_about_file(setting: str, path: object, lack: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError:
        raise SettingsError(f"{setting}: {path} {lack}.") from None
    except OSError as error:
        raise SettingsError(f"{setting}: {path} can't be read ({error.strerror}).") from None


@aiohttp.payload_type(Body)
class BodyPayload(aiohttp.Payload):
    """Writes a body piece by piece."""

    def __init__(self, body: Body, **settings: Any) -> None:
        super().__init__(body, content_type="application/json")
        self._size = len(body)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        for piece in self._value.pieces():
            await writer.write(piece)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)


class ChatRequest(httpx2.Request):
    """A request that differs from another one only in its body, whose length the transport adds to the headers."""

    def __init__(self, other: httpx2.Request, body: Body) -> None:
        self.method, self.url, self.headers, self.extensions = other.method, other.url, other.headers, other.extensions
        self.stream: Body = body


class ReceivedResponse(httpx2.Response):
    """A 200 whose body has been received and decoded. It has aiohttp's headers, which are faster.

    What httpx2 sets for each response, such as a stream to read it from, is the same for all of these.
    """

    status_code = 200
    is_closed = is_stream_consumed = True
    next_request = None

    def __init__(self, request: httpx2.Request, headers: Mapping[str, str], content: bytes) -> None:
        self._request = request
        self.headers = headers  # type: ignore[assignment]
        self._received = content

    @property
    def content(self) -> bytes:
        return self._received

    async def aread(self) -> bytes:
        return self._received

    async def aclose(self) -> None:
        pass

    def raise_for_status(self) -> ReceivedResponse:
        return self


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2's requests through aiohttp, without redirects. Raises aiohttp's exceptions.

    The SDK's own aiohttp transport keeps cookies, so a load balancer could bind all requests to one replica. It fails
    for reason phrases that are not UTF-8, and is slower for small bodies.
    """

    def __init__(
        self,
        connections: int,
        proxy: httpx2.Proxy | None = None,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """``resolver``: by default, that of aiohttp."""
        self._connections = connections
        self._resolver = resolver
        self._tls = tls
        # aiohttp's errors contain the proxy's address, so credentials are removed from it.
        self._proxy = str(proxy.url) if proxy else None
        self._proxy_headers = {}
        if proxy and proxy.raw_auth:
            credentials = pybase64.b64encode(b":".join(proxy.raw_auth)).decode()
            self._proxy_headers = {"Proxy-Authorization": f"Basic {credentials}"}
        self._session: aiohttp.ClientSession | None = None
        self._fresh_session: aiohttp.ClientSession | None = None  # each of its connections is used once
        self._latest_url: httpx2.URL | None = None
        self._latest_headers: httpx2.Headers | None = None
        self._settings: dict[str, Any] = {}  # aiohttp's, for this URL and these headers
        self._is_closed = False
        self._ids_are_unique = True  # until different requests get the same id

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        is_empty = isinstance(request.stream, httpx2.ByteStream) and not request.content
        response, _ = await self._send_twice_if_stale(self._prepare(request, None if is_empty else request.stream))
        return await make_received(response)

    async def send_chat(self, request: ChatRequest) -> httpx2.Response:
        """Sends a chat request without httpx2's request pipeline, which takes a tenth of the CPU time."""
        send = self._prepare(request, request.stream)
        response, protocol = await self._send_twice_if_stale(send)
        if is_whole_answer(response):
            body = await receive_body(response)
            if not self._was_sent_before(body, protocol):
                return ReceivedResponse(request, response.headers, body)
            response = await self._send_alone(send)
            if is_whole_answer(response):
                own = await receive_body(response)
                self._ids_are_unique = find_id(own) != find_id(body)
                return ReceivedResponse(request, response.headers, own)
        if is_stream(response):
            choose = partial(self._replace_repeated, protocol=protocol, send=send)
            reply = make_response(response, stream=AnswerStream(response, choose))
        else:
            body = await receive_body(response)
            reply = make_response(response, is_decoded=True, content=body)
            if isinstance(protocol, IdleProtocol) and protocol.is_repeated_error(response, body):
                protocol.close()
        reply.request = request
        return reply

    async def _replace_repeated(self, body: bytes, *, protocol: object, send: Send) -> bytes:
        """The body of a streamed reply, or that of another one if it was sent before. Raises ClientPayloadError."""
        if not self._was_sent_before(body, protocol):
            return body
        response = await self._send_alone(send)
        own = await receive_body(response)
        if response.status != 200:
            raise aiohttp.ClientPayloadError("the server sent an earlier stream again")
        self._ids_are_unique = find_id(own) != find_id(body)
        return own

    def _was_sent_before(self, body: bytes, protocol: object) -> bool:
        """Whether a reply is an earlier one on its connection, with its id: probably sent twice."""
        if not (self._ids_are_unique and isinstance(protocol, IdleProtocol)):
            return False
        is_equal = protocol.find_equal_id(body)
        if is_equal is False:
            # Some servers give the same id to all replies, or count in a small range.
            self._ids_are_unique = False
        elif is_equal:
            protocol.close()
        return bool(is_equal)

    def _prepare(self, request: httpx2.Request, data: object) -> Send:
        if self._is_closed:
            raise RuntimeError("a request after the HTTP client was closed")
        # Chat requests share their URL and headers.
        if request.url is not self._latest_url or request.headers is not self._latest_headers:
            self._latest_url, self._latest_headers = request.url, request.headers
            self._settings = self._make_settings(request)
        return partial(aiohttp.ClientSession.request, method=request.method, data=data, **self._settings)

    def _make_settings(self, request: httpx2.Request) -> dict[str, Any]:
        is_https = request.url.scheme == "https"
        headers = CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        headers.pop("Transfer-Encoding", None)  # aiohttp adds it where the length of a body is unknown
        if not is_https:
            headers.extend(self._proxy_headers)
        return {
            "url": URL(str(request.url), encoded=True),
            "headers": headers,
            "allow_redirects": False,
            "proxy": self._proxy,
            # Sent only to the proxy, to open a tunnel.
            "proxy_headers": self._proxy_headers if is_https else None,
        }

    async def _send_twice_if_stale(self, send: Send) -> tuple[aiohttp.ClientResponse, object]:
        """The response and its connection."""
        if self._session is None:
            self._session = self._open_session(keepalive_timeout=KEEP_ALIVE)
        try:
            return await send(self._session), CONNECTION.get()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            protocol = CONNECTION.get()
            if not (isinstance(protocol, IdleProtocol) and protocol.was_stale):
                raise
            failure = error
        finally:
            CONNECTION.set(None)
        # Other idle connections may be stale, too.
        with suppress(aiohttp.ClientError, OSError):
            return await self._send_alone(send), None
        # The first failure counts, because a server that crashed on the first request refuses the second one.
        try:
            raise failure
        finally:
            del failure  # its traceback has this frame and the request's images: a reference cycle

    async def _send_alone(self, send: Send) -> aiohttp.ClientResponse:
        """Sends on a connection that had no other request."""
        if self._fresh_session is None:
            self._fresh_session = self._open_session(force_close=True)
        return await send(self._fresh_session)

    def _open_session(self, **settings: Any) -> aiohttp.ClientSession:
        tls = True if self._tls is None else self._tls
        if isinstance(self._resolver, LocalResolver):
            settings["socket_factory"] = open_local_socket
        return aiohttp.ClientSession(
            connector=IdleConnector(limit=self._connections, ssl=tls, resolver=self._resolver, **settings),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_line_size=MAX_HEADER_SIZE,
            max_field_size=MAX_HEADER_SIZE,
        )

    async def aclose(self) -> None:
        self._is_closed = True
        for session in (self._session, self._fresh_session):
            if session is not None:
                await session.close()
