"""One attempt: bytes of a body out, a completion or a verdict back. Talks to the endpoint, through the OpenAI SDK.

The only place that knows the SDK's and the transport's exceptions.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import NamedTuple
from urllib.request import getproxies

import aiohttp
import httpx2
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from openai import (
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAioHttpClient,
    Omit,
    OpenAIError,
)
from yarl import URL

from persqa_client.client.classify import (
    AttemptContext,
    TransportFault,
    classify_response,
    classify_transport_error,
    read_error_status,
    redact_secrets,
)
from persqa_client.client.request import Body
from persqa_client.client.response import assemble_stream, is_event_stream, read_completion
from persqa_client.config import Endpoint, is_loopback
from persqa_client.errors import AttemptError
from persqa_client.types import Completion, ErrorDecision, RetryAction

# The way of all requests but the first: the SDK's own request around other bodies, straight through aiohttp.
#
# The SDK builds each request anew and hands it through httpx2 to aiohttp; for a request that differs from the one
# before
# in its body alone, that is half of what it costs in CPU. So the SDK says once what a request looks like.

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: below the 5 s after which uvicorn, vLLM's server, closes it unasked."""

OWN_HEADERS = frozenset({"host", "content-length", "accept-encoding", "connection", "transfer-encoding"})
"""Those that a transport sets by itself for each request."""


Begun = Callable[[], None]


class Answer(NamedTuple):
    """What came back, whatever its status. Names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Posts bodies like a first request that the SDK has sent; raises aiohttp's errors and OSError.

    To be made within a running event loop; redirects are given back, not followed.
    """

    def __init__(self, first: httpx2.Request, connections: int) -> None:
        self._url = URL(str(first.url), encoded=True)
        self._session = aiohttp.ClientSession(
            headers=[(name, value) for name, value in first.headers.items() if name.lower() not in OWN_HEADERS],
            connector=aiohttp.TCPConnector(
                limit=connections,
                keepalive_timeout=KEEP_ALIVE,
                ssl=httpx2.create_ssl_context() if self._url.scheme == "https" else False,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def post(self, body: Body | bytes, begun: Begun | None = None) -> Answer:
        """``begun`` is called where an answer begins, before the rest of it is there."""
        data = body if isinstance(body, bytes) else Pieces(body)
        async with self._session.post(self._url, data=data, allow_redirects=False) as reply:
            if begun is not None and reply.status < 300:
                begun()
            return Answer(reply.status, reply.headers, await reply.read())

    async def aclose(self) -> None:
        await self._session.close()


class Pieces(Payload):
    """A body for aiohttp, which puts it together while it is sent."""

    def __init__(self, body: Body) -> None:
        super().__init__(body, content_type="application/json")
        self._size = len(body)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self._value.pieces():
            await writer.write(piece)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)


def goes_straight(base_url: str) -> bool:
    """Whether no proxy may stand between: proxies are httpx2's and its settings' matter."""
    return is_loopback(base_url) or not getproxies()


BROKEN = (OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError)
"""What an attempt ends with where no reply came; some of aiohttp's errors pass the SDK as they are."""

TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)

SDK_HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "persqa-client"}


class LeanOpenAI(AsyncOpenAI):
    """The SDK's client without the headers that it takes from the environment or computes for each request.

    Those describe the platform, and could carry one host's credentials to another.
    """

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return dict(SDK_HEADERS)


class Client(AbstractAsyncContextManager["Client"]):
    """Sends one request at a time to one endpoint; knows nothing of retries or limits.

    ``http_client`` replaces the transport, for tests. ``timeout`` is the wall time of an attempt in seconds.
    ``observe_headers``,
    where set, is told the headers of each answer.
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
        self._http = http_client or make_http_client(endpoint, connections)
        # An injected client may be of another library, has exceptions of its own, and all requests go through it.
        if http_client is None and goes_straight(endpoint.base_url):
            self._http.event_hooks = {"request": [self._lay_wire]}
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        # The SDK insists on a key; where there is none, the header that it would make of this one is left out.
        self._options = {} if key else {"Authorization": Omit()}
        self._connections = connections
        self._wire: Wire | None = None
        self._sdk = LeanOpenAI(
            api_key=key or "none", base_url=endpoint.base_url, http_client=self._http, max_retries=0, timeout=None
        )

    @property
    def tells_early(self) -> bool:
        """Whether ``begun`` is called before an answer ends: not by the SDK, which gives nothing away until then."""
        return self._wire is not None

    async def send(self, body: Body | bytes, begun: Begun | None = None) -> Completion:
        """One attempt. Raises AttemptError with the verdict where no completion came back.

        ``begun`` is called when a good answer's first line is there: see ``tells_early``.
        """
        reply = await self._post(body, begun)
        if isinstance(reply, ErrorDecision):
            raise AttemptError(reply)
        completion = read_completion(reply, self.context.key)
        if not self.context.has_answered:
            self.context = replace(self.context, has_answered=True)
        return completion

    async def _post(self, body: Body | bytes, begun: Begun | None) -> bytes | ErrorDecision:
        # A verdict is returned and raised by the caller: what is raised here would carry the SDK's exception as its
        # context, and with it the request's pictures and whatever the server echoes.
        try:
            async with asyncio.timeout(self.context.timeout):
                reply = await self._exchange(body, begun)
        except TimeoutError:
            return classify_transport_error("timeout", "", self.context)
        except BROKEN as error:
            return self._judge_broken(error)
        return self._read(reply)

    def _read(self, reply: Answer) -> bytes | ErrorDecision:
        if reply.status == 200 and is_event_stream(reply.headers):
            reply = in_one(reply)
            if not reply.content:
                return classify_transport_error("reset", "the answer has no end", self.context)
        if not 200 <= reply.status < 300:
            return classify_response(reply.status, reply.headers, reply.content, self.context, now=time.time())
        if self._observe_headers is not None:
            self._observe_headers(reply.headers)
        return reply.content

    async def _exchange(self, body: Body | bytes, begun: Begun | None) -> Answer:
        if self._wire is not None:
            return await self._wire.post(body, begun)
        reply = await self._send_by_sdk(body)
        return Answer(reply.status_code, reply.headers, reply.content)

    async def _lay_wire(self, first: httpx2.Request) -> None:
        """Called with each request that goes through the SDK, before it is sent: those after it need not go there."""
        if first.method == "POST" and self._wire is None:
            self._wire = Wire(first, self._connections)

    async def _send_by_sdk(self, body: Body | bytes) -> httpx2.Response:
        # Said beforehand: without it, a body that comes in pieces would go chunked, which some servers refuse.
        headers = self._options | {"Content-Length": str(len(body))}
        try:
            return await self._sdk.post(
                "/chat/completions", content=body, cast_to=httpx2.Response, options={"headers": headers}
            )
        except APIStatusError as error:
            return error.response

    async def get(self, url: str, *, timeout: float = 10.0) -> tuple[int, bytes]:
        """A GET beside the chat (/health, /v1/models): status and body. Raises AttemptError where no reply came."""
        reply = await self._get(url, timeout)
        if isinstance(reply, ErrorDecision):
            raise AttemptError(reply)
        return reply.status_code, reply.content

    async def _get(self, url: str, timeout: float) -> httpx2.Response | ErrorDecision:
        try:
            async with asyncio.timeout(timeout):
                return await self._http.get(url, headers={**SDK_HEADERS, **self._headers})
        except TimeoutError:
            message = f"{url} gave no answer within {timeout:g} s: look whether the server is overloaded or hangs."
            return ErrorDecision(RetryAction.RETRY, "timeout", message)
        except BROKEN as error:
            return self._judge_broken(error)

    def _judge_broken(self, error: BaseException) -> ErrorDecision:
        fault, detail = name_fault(error)
        return classify_transport_error(fault, redact_secrets(detail, self.context.key), self.context)

    async def alive(self) -> bool:
        """Whether the server would take requests: vLLM's /health, or any reply but a 5xx where there is none."""
        try:
            status, _ = await self.get(f"{self.endpoint.root_url}/health", timeout=5.0)
        except AttemptError:
            return False
        return status < 500

    async def aclose(self) -> None:
        await self._http.aclose()
        if self._wire is not None:
            await self._wire.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def make_http_client(endpoint: Endpoint, connections: int) -> httpx2.AsyncClient:
    """The SDK's aiohttp transport. A proxy of the environment is used, but never for this machine itself."""
    return DefaultAioHttpClient(
        timeout=None,
        limits=httpx2.Limits(max_connections=connections + 8, keepalive_expiry=KEEP_ALIVE),
        follow_redirects=False,
        trust_env=not is_loopback(endpoint.base_url),
    )


def in_one(reply: Answer) -> Answer:
    """The answer as it would have come whole: an error in its midst has a status of its own."""
    content = assemble_stream(reply.content)
    return reply._replace(status=read_error_status(content) or reply.status, content=content)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those behind it; each once, for a chain may bite its tail."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def name_fault(error: BaseException) -> tuple[TransportFault, str]:
    """Which fault an exception stands for, and the words of its innermost cause.

    The SDK and its transport call a broken connection a time-out at times, so the whole chain of causes is looked at.
    """
    chain = list(causes(error))
    detail = next((text for link in reversed(chain) if (text := str(link).strip())), "")
    if any(isinstance(link, OSError) and link.errno in TOO_MANY_FILES for link in chain):
        return "files", detail
    for kinds, fault in FAULTS:
        if any(isinstance(link, kinds) for link in chain):
            return fault, detail
    return "reset", detail


FAULTS: tuple[tuple[tuple[type[BaseException], ...], TransportFault], ...] = (
    ((aiohttp.InvalidURL, httpx2.InvalidURL, httpx2.UnsupportedProtocol), "url"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    ((aiohttp.ClientConnectorDNSError,), "dns"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "proxy"),
    ((ConnectionRefusedError, aiohttp.ClientConnectorError), "refused"),
    ((ConnectionResetError, BrokenPipeError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), "reset"),
    ((APITimeoutError, httpx2.TimeoutException), "timeout"),
)
"""Looked through in order: the more telling class first."""
