"""One attempt at one endpoint: sends a body, returns a completion or raises an AttemptError.

Uses the OpenAI SDK over aiohttp. The unmodified SDK needs 4.1 times the CPU time of a bare aiohttp loop; with
``ChatOpenAI`` and ``AiohttpTransport`` it is 3.4 times (``scripts/bench.py hot-path``).

Two private names are imported: ``get_environment_proxies``, because httpx2 applies proxy variables only to its own
transport, and ``FinalRequestOptions``, because the SDK's public ``post`` would rebuild it for each request.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import httpx2
import pybase64
from httpx2._utils import get_environment_proxies
from openai import APIStatusError, APITimeoutError, AsyncOpenAI, Omit, OpenAIError
from openai._models import FinalRequestOptions
from yarl import URL

from persqa_client.client.classify import (
    AttemptContext,
    TransportFault,
    classify_response,
    classify_transport_error,
)
from persqa_client.client.error_body import redact_secrets
from persqa_client.client.request import Body
from persqa_client.client.response import assemble_stream, is_event_stream, read_completion
from persqa_client.config import Endpoint, is_loopback
from persqa_client.errors import AttemptError
from persqa_client.types import Completion, ErrorDecision, RetryAction

# Seconds to keep idle connections. uvicorn, vLLM's server, closes them after 5 s.
KEEP_ALIVE = 4.0

# Extra connections, so that /health and /metrics need not wait for chat requests.
SPARE_CONNECTIONS = 8

HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "persqa-client"}

# Whether this module is sending a request.
SENDING: ContextVar[bool] = ContextVar("persqa_sending", default=False)


class OwnRequestFilter(logging.Filter):
    """Drops httpx2's INFO record of each request that this module sends: there is one per row."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not SENDING.get()


logging.getLogger("httpx2").addFilter(OwnRequestFilter())

SEND_ERRORS = (OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


class ChatOpenAI(AsyncOpenAI):
    """The SDK's client with fixed headers, optimised for requests that differ only in their body."""

    _template: httpx2.Request | None = None

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        """The SDK's headers describe the platform, and OPENAI_CUSTOM_HEADERS may contain another host's credentials."""
        return dict(HEADERS)

    def _build_request(self, options: FinalRequestOptions, **settings: Any) -> httpx2.Request:
        """Copies the first request of the SDK, which saves a third of the CPU time.

        Overrides a private method. If a later SDK does not call it, requests are slower but correct.
        """
        body = options.content
        if not isinstance(body, bytes | Body):
            return super()._build_request(options, **settings)
        if self._template is None:
            self._template = super()._build_request(options.model_copy(update={"content": b""}), **settings)
            del self._template.headers["Content-Length"]
        template = self._template
        # A client of httpx may be injected instead of httpx2.
        return type(template)(
            template.method,
            template.url,
            # Without a length the body would be sent chunked, which some servers refuse.
            headers=[*template.headers.raw, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions=template.extensions,
        )


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2's requests through aiohttp, without redirects. Raises aiohttp's exceptions.

    The SDK's own aiohttp transport keeps cookies, so a load balancer could bind all requests to one replica; it fails
    for reason phrases that are not UTF-8; and it is slower for small bodies.
    """

    def __init__(self, connections: int, proxy: httpx2.Proxy | None = None) -> None:
        self._connections = connections
        # aiohttp's errors contain the proxy's address, so credentials are removed from it.
        self._proxy = str(proxy.url) if proxy else None
        self._proxy_headers = {}
        if proxy and proxy.raw_auth:
            credentials = pybase64.b64encode(b":".join(proxy.raw_auth)).decode()
            self._proxy_headers = {"Proxy-Authorization": f"Basic {credentials}"}
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        is_https = request.url.scheme == "https"
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        if not is_https:
            headers += self._proxy_headers.items()
        if self._session is None:
            self._session = self._open_session(is_https)
        response = await self._session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=headers,
            data=request.content or None if isinstance(request.stream, httpx2.ByteStream) else request.stream,
            allow_redirects=False,
            proxy=self._proxy,
            # Sent only to the proxy, to open a tunnel.
            proxy_headers=self._proxy_headers if is_https else None,
        )
        # Of duplicate headers the first counts.
        first_headers = {name.lower(): value for name, value in reversed(response.raw_headers)}
        first_headers.pop(b"set-cookie", None)
        make_response = partial(
            httpx2.Response,
            response.status,
            headers=list(first_headers.items()),
            extensions={"reason_phrase": (response.reason or "").encode("latin-1", "replace")},
        )
        if is_event_stream(response.headers):
            return make_response(stream=ResponseStream(response))
        async with response:
            return make_response(content=await response.read())

    def _open_session(self, is_https: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections,
                keepalive_timeout=KEEP_ALIVE,
                ssl=httpx2.create_ssl_context() if is_https else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class ResponseStream(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.content.iter_any():
            yield chunk

    async def aclose(self) -> None:
        self._response.release()
        await self._response.wait_for_close()


class Client(AbstractAsyncContextManager["Client"]):
    """Makes single attempts, without retries and limits.

    ``http_client`` replaces the default HTTP client and its environment proxies. ``observe_headers`` gets the headers
    of each good response.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout: float = 120.0,
        connections: int = 64,
        fields: frozenset[str] | None = None,
        http_client: httpx2.AsyncClient | None = None,
        observe_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._observe_headers = observe_headers
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        self.context = AttemptContext(endpoint.base_url, endpoint.model, key=key, timeout=timeout)
        if fields is not None:
            self.context = replace(self.context, optional_fields=self.context.optional_fields | fields)
        self._http = http_client or make_http_client(endpoint.base_url, connections)
        self._get_headers = {**HEADERS, **({"Authorization": f"Bearer {key}"} if key else {})}
        # The SDK requires a key. If there is none, the header with the placeholder is omitted.
        self._sdk = ChatOpenAI(
            api_key=key or "none", base_url=endpoint.base_url, http_client=self._http, max_retries=0, timeout=None
        )
        self._options = FinalRequestOptions.construct(
            method="post",
            url="/chat/completions",
            headers={} if key else {"Authorization": Omit()},
            # Not sent; the SDK would generate one per request.
            idempotency_key="none",
        )

    async def send(self, body: Body | bytes, on_start: Callable[[], None] | None = None) -> Completion:
        """Makes one attempt. Raises AttemptError without a completion.

        ``on_start`` is called when a good response begins: at the status line of an event stream, otherwise at the end.
        """
        # Raised outside of the except block: the SDK's exception as context would put the request's images, and text
        # repeated by the server, into tracebacks.
        completion = await self._post(body, on_start)
        if isinstance(completion, ErrorDecision):
            raise AttemptError(completion)
        if not self.context.has_answered:
            self.context = replace(self.context, has_answered=True)
        return completion

    async def _post(self, body: Body | bytes, on_start: Callable[[], None] | None) -> Completion | ErrorDecision:
        options = self._options.model_copy(update={"content": body})
        try:
            async with asyncio.timeout(self.context.timeout):
                SENDING.set(True)
                try:
                    response = await self._sdk.request(httpx2.Response, options, stream=True)
                except APIStatusError as error:
                    response = error.response
                finally:
                    SENDING.set(False)
                async with aclosing(response):
                    if on_start is not None and response.is_success:
                        on_start()
                    content = await response.aread()
        except TimeoutError:
            return classify_transport_error("timeout", "", self.context)
        except SEND_ERRORS as error:
            return self._classify_exception(error)
        return self._check(response.status_code, response.headers, content)

    def _check(self, status: int, headers: Mapping[str, str], content: bytes) -> Completion | ErrorDecision:
        now = time.time()
        if not 200 <= status < 300:
            return classify_response(status, headers, content, self.context, now=now)
        streamed = status == 200 and is_event_stream(headers)
        if streamed and not (content := assemble_stream(content)):
            return classify_transport_error("reset", "the stream ended too early", self.context)
        if self._observe_headers is not None:
            self._observe_headers(headers)
        return read_completion(content, self.context, streamed=streamed, now=now)

    async def get(self, url: str, *, timeout: float = 10.0) -> tuple[int, bytes]:
        """Status and body of a GET, such as /health or /v1/models. Raises AttemptError without a response."""
        response = await self._get(url, timeout)
        if isinstance(response, ErrorDecision):
            raise AttemptError(response)
        return response.status_code, response.content

    async def _get(self, url: str, timeout: float) -> httpx2.Response | ErrorDecision:
        try:
            async with asyncio.timeout(timeout):
                return await self._http.get(url, headers=self._get_headers)
        except TimeoutError:
            message = f"{url} did not respond within {timeout:g} s: check whether the server is overloaded or hangs."
            return ErrorDecision(RetryAction.RETRY, "timeout", message)
        except SEND_ERRORS as error:
            return self._classify_exception(error)

    def _classify_exception(self, error: BaseException) -> ErrorDecision:
        fault, detail = find_fault(error)
        return classify_transport_error(fault, redact_secrets(detail, self.context.key), self.context)

    async def alive(self) -> bool:
        """Whether /health returns no 5xx; a 404 counts as alive, since only some servers have the route."""
        try:
            status, _ = await self.get(f"{self.endpoint.root_url}/health", timeout=5.0)
        except AttemptError:
            return False
        return status < 500

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def make_http_client(base_url: str, connections: int) -> httpx2.AsyncClient:
    """Uses the environment's proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), but none for loopback."""
    limit = connections + SPARE_CONNECTIONS
    # httpx2 supports networks in NO_PROXY (10.0.0.0/8); urllib does not.
    proxies = {} if is_loopback(base_url) else get_environment_proxies()
    return httpx2.AsyncClient(
        transport=AiohttpTransport(limit),
        mounts={
            pattern: AiohttpTransport(limit, httpx2.Proxy(proxy)) if proxy else None
            for pattern, proxy in proxies.items()
        },
        timeout=None,
    )


def iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def find_fault(error: BaseException) -> tuple[TransportFault, str]:
    """The fault of an exception, and the message of its innermost cause.

    Searches the whole chain, because the SDK and httpx2 wrap exceptions.
    """
    chain = list(iter_causes(error))
    detail = next((text for link in reversed(chain) if (text := str(link).strip())), "")
    if any(isinstance(link, OSError) and link.errno in TOO_MANY_FILES for link in chain):
        return "files", detail
    for kinds, fault in FAULTS:
        if any(isinstance(link, kinds) for link in chain):
            return fault, detail
    return "reset", detail


# The first match counts, so specific classes come first.
FAULTS: tuple[tuple[tuple[type[BaseException], ...], TransportFault], ...] = (
    ((aiohttp.InvalidURL, httpx2.InvalidURL, httpx2.UnsupportedProtocol), "url"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    ((aiohttp.ClientConnectorDNSError,), "dns"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "proxy"),
    ((ConnectionRefusedError, aiohttp.ClientConnectorError), "refused"),
    ((ConnectionResetError, BrokenPipeError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), "reset"),
    ((APITimeoutError, httpx2.TimeoutException), "timeout"),
)
