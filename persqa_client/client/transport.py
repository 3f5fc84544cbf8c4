"""One attempt at one endpoint: sends a body, returns a completion or raises an AttemptError.

Uses the OpenAI SDK over aiohttp. The unmodified SDK needs 4.1 times the CPU time of a bare aiohttp loop
(``scripts/bench.py hot-path``), so ``ChatOpenAI`` gives its requests to ``AiohttpTransport`` directly. An injected HTTP
client is used as it is.

``FinalRequestOptions`` is a private name of the SDK, whose public ``post`` would rebuild it for each request.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx2
from openai import APIStatusError, AsyncOpenAI, Omit
from openai._models import FinalRequestOptions

from persqa_client.client.aiohttp_transport import (
    AiohttpTransport,
    ChatRequest,
    ReceivedResponse,
    find_proxy,
    make_tls_context,
)
from persqa_client.client.authentication import KEY_BACKOFF, KeySource, find_authentication
from persqa_client.client.classify import classify_response
from persqa_client.client.event_stream import is_event_stream, looks_like_events
from persqa_client.client.failed_reply import AttemptContext, quote_server_message
from persqa_client.client.local_hosts import find_resolver
from persqa_client.client.redaction import Redactor, list_header_secrets, list_proxy_secrets
from persqa_client.client.request import Body
from persqa_client.client.response import read_completion, read_stream
from persqa_client.client.retry import Backoff
from persqa_client.client.transport_errors import SEND_ERRORS, classify_exception, classify_transport_error
from persqa_client.config import Endpoint
from persqa_client.errors import AttemptError, SettingsError
from persqa_client.limits.open_files import SPARE_CONNECTIONS
from persqa_client.types import Completion, ErrorDecision, RetryAction
from persqa_client.urls import add_query

HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "persqa-client"}

# Whether this module is sending a request.
SENDING: ContextVar[bool] = ContextVar("persqa_sending", default=False)


class OwnRequestFilter(logging.Filter):
    """Drops httpx2's INFO record of each request that this module sends: there is one per row."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not SENDING.get()


logging.getLogger("httpx2").addFilter(OwnRequestFilter())


class ChatOptions(FinalRequestOptions):  # type: ignore[misc]  # final for type checkers only
    """The SDK copies the options of each request twice, although it changes none of these."""

    def model_copy(self, **settings: Any) -> ChatOptions:
        return self

    def with_content(self, body: Body | bytes) -> ChatOptions:
        return super().model_copy(update={"content": body})


class ChatOpenAI(AsyncOpenAI):
    """The SDK's client with fixed headers, optimised for requests that differ only in their body.

    Overrides private methods. If a later SDK does not call them, requests are slower, and bodies with images are sent
    without their length (chunked).
    """

    template: httpx2.Request | None = None
    transport: AiohttpTransport | None = None  # None if another HTTP client is injected

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        """The SDK's headers describe the platform, and OPENAI_CUSTOM_HEADERS may contain another host's credentials."""
        return dict(HEADERS)

    @property
    def custom_auth(self) -> None:
        return None

    async def _prepare_options(self, options: FinalRequestOptions) -> FinalRequestOptions:
        return options

    async def _prepare_request(self, request: httpx2.Request) -> None:
        pass

    def _build_request(self, options: FinalRequestOptions, **settings: Any) -> httpx2.Request:
        """Copies the first request of the SDK."""
        body = options.content
        if not isinstance(options, ChatOptions) or not isinstance(body, bytes | Body):
            return super()._build_request(options, **settings)
        if self.template is None:
            self.template = super()._build_request(options.with_content(b""), **settings)
            del self.template.headers["Content-Length"]
        template = self.template
        if self.transport is not None:
            return ChatRequest(template, body if isinstance(body, Body) else Body((body,)))
        # A client of httpx may be injected instead of httpx2.
        return type(template)(
            template.method,
            template.url,
            # Without a length the body would be sent chunked, which some servers refuse.
            headers=[*template.headers.raw, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions=template.extensions,
        )

    async def _send_request(self, request: httpx2.Request, *, stream: bool, **settings: Any) -> httpx2.Response:
        if self.transport is not None and isinstance(request, ChatRequest):
            return await self.transport.send_chat(request)
        return await super()._send_request(request, stream=stream, **settings)

    async def _process_response(self, *, response: httpx2.Response, **settings: Any) -> Any:
        """Returns a ``ReceivedResponse`` as it is: the SDK must not parse its body."""
        if isinstance(response, ReceivedResponse):
            return response
        return await super()._process_response(response=response, **settings)


class Client(AbstractAsyncContextManager["Client"]):
    """Makes single attempts, without retries and limits.

    ``http_client`` replaces the default HTTP client and its environment proxies, and is not closed. ``observe_headers``
    gets the headers of each good response. ``key_backoff``: waits after failures of the key command.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout: float = 120.0,
        connections: int = 64,
        fields: frozenset[str] | None = None,
        secrets: Sequence[str] = (),
        http_client: httpx2.AsyncClient | None = None,
        observe_headers: Callable[[Mapping[str, str]], None] | None = None,
        key_backoff: Backoff = KEY_BACKOFF,
    ) -> None:
        self.endpoint = endpoint
        self._observe_headers = observe_headers
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        self._headers = {name: value.get_secret_value() for name, value in endpoint.headers.items()}
        proxy = None if http_client else find_proxy(endpoint.base_url)
        self._redactor = Redactor([*list_header_secrets(self._headers), *list_proxy_secrets(proxy), *secrets])
        self.context = AttemptContext(endpoint.base_url, endpoint.model, redactor=self._redactor, timeout=timeout)
        if fields is not None:
            self.context = replace(self.context, optional_fields=self.context.optional_fields | fields)
        transport = None
        if http_client is None:
            resolver = find_resolver(endpoint, proxy)
            transport = AiohttpTransport(connections + SPARE_CONNECTIONS, proxy, make_tls_context(endpoint), resolver)
        self._owns_http = http_client is None
        self._http = http_client or httpx2.AsyncClient(transport=transport, timeout=None)
        # The SDK requires a key, which is not sent: the headers of the options take precedence.
        self._sdk = ChatOpenAI(
            api_key="none", base_url=endpoint.base_url, http_client=self._http, max_retries=0, timeout=None
        )
        self._sdk.transport = transport
        self._keys = KeySource(endpoint.api_key_command, key, key_backoff)
        self._use_key(key)

    def _use_key(self, key: str) -> None:
        self._key = key
        self._redactor.add_key(key)
        authentication = find_authentication(
            has_key=bool(key), has_command=self.endpoint.api_key_command is not None, headers=self._headers
        )
        self.context = replace(self.context, authentication=authentication)
        own = ({"Authorization": f"Bearer {key}"} if key else {}) | self._headers
        self._get_headers = HEADERS | own
        has_credentials = any(name.lower() == "authorization" for name in own)
        self._sdk.template = None
        options = ChatOptions.construct(
            method="post",
            url=add_query("/chat/completions", self.endpoint.query),
            headers=own if has_credentials else {"Authorization": Omit(), **own},
            # Not sent; the SDK would generate one per request.
            idempotency_key="none",
        )
        self._options = cast(ChatOptions, options)

    async def send(self, body: Body | bytes, on_start: Callable[[], None] | None = None) -> Completion:
        """Makes one attempt. Raises AttemptError if there is no completion.

        The request is sent a second time only after the key was renewed, or if an idle connection was stale.

        ``on_start`` is called when a good response begins: at the status line of an event stream, otherwise at the end.
        """
        # Raised outside of the except block: the SDK's exception as context would put the request's images, and text
        # repeated by the server, into tracebacks.
        completion: Completion | ErrorDecision | None = None if self._key else await self._find_first_key()
        key = self._key
        if completion is None:
            completion = await self._post(body, on_start)
            if isinstance(completion, ErrorDecision) and completion.code == "wrong_key":
                completion = await self._renew_key(key, completion) or await self._post(body, on_start)
        if isinstance(completion, ErrorDecision):
            raise self._make_error(completion)
        if not self.context.has_answered:
            self.context = replace(self.context, has_answered=True)
        return completion

    async def _find_first_key(self) -> ErrorDecision | None:
        """Runs the key command if the endpoint has no key yet. Returns why there is none."""
        if self.endpoint.api_key_command is None or self._key:
            return None
        try:
            await self._replace_key("")
        except SettingsError as error:
            return ErrorDecision(RetryAction.STOP, "wrong_key", str(error))
        return None

    async def _renew_key(self, refused: str, decision: ErrorDecision) -> ErrorDecision | None:
        """Returns None if there is now a key other than the refused one. Only a key that has worked can have expired.

        A command that fails may succeed later, so the endpoint counts as unavailable until then.
        """
        if self.endpoint.api_key_command is None or not self.context.has_answered:
            return decision
        try:
            if await self._replace_key(refused):
                return None
        except SettingsError as error:
            quote = quote_server_message(decision.raw or "")
            message = f"The key has expired ({decision.status}){quote}. There is no new one: {error}"
            return replace(decision, action=RetryAction.AWAIT_RECOVERY, code="no_new_key", message=message)
        return decision

    async def _replace_key(self, refused: str) -> bool:
        """Whether there is now a key other than the refused one. Raises SettingsError if the command fails."""
        is_new = await self._keys.replace(refused)
        if self._key != self._keys.key:
            self._use_key(self._keys.key)
        return is_new

    def redact(self, text: str) -> str:
        """A text without the endpoint's secrets."""
        return self._redactor.clean_message(text)

    def _make_error(self, decision: ErrorDecision) -> AttemptError:
        """Cleans the message. The quoted text of the server was already cleaned before it was shortened."""
        raw = decision.raw and self._redactor.clean_message(decision.raw)
        return AttemptError(replace(decision, message=self._redactor.clean_message(decision.message), raw=raw))

    async def _post(self, body: Body | bytes, on_start: Callable[[], None] | None) -> Completion | ErrorDecision:
        options = self._options.with_content(body)
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
            return classify_exception(error, self.context)
        try:
            return self._check(response.status_code, response.headers, content)
        except Exception as error:  # one reply that cannot be read must not end the run
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
            message = f"The server's reply could not be read ({where})."
            return ErrorDecision(RetryAction.RETRY, "invalid_reply", message, status=response.status_code)

    def _check(self, status: int, headers: Mapping[str, str], content: bytes) -> Completion | ErrorDecision:
        now = time.time()
        if not 200 <= status < 300:
            return classify_response(status, headers, content, self.context, now=now)
        if self._observe_headers is not None:
            self._observe_headers(headers)
        are_events = is_event_stream(headers) or looks_like_events(content)
        completion = (read_stream if are_events else read_completion)(content, self.context, now=now)
        if isinstance(completion, ErrorDecision) and completion.code == "invalid_json":
            return self._name_encoding(completion, headers.get("Content-Encoding", "identity"))
        return completion

    def _name_encoding(self, decision: ErrorDecision, encoding: str) -> ErrorDecision:
        """Replaces the message if the body is encoded: it names the encoding, and quotes nothing."""
        if encoding.strip().lower() == "identity":
            return decision
        problem = f"The server answered 200 with a body that cannot be decoded (Content-Encoding: {encoding[:40]})."
        return replace(decision, message=problem, raw="")

    async def get(self, url: str, *, timeout: float = 10.0) -> tuple[int, bytes]:
        """Status and body of a GET, such as /health or /v1/models. Raises AttemptError if there is no response.

        The query of the endpoint is added to the URL.
        """
        response = await self._find_first_key() or await self._get(url, timeout)
        if isinstance(response, ErrorDecision):
            raise self._make_error(response)
        content = response.content
        if not response.is_success:
            content = self._redactor.clean(content.decode("utf-8", "replace")).encode()
        return response.status_code, content

    async def _get(self, url: str, timeout: float) -> httpx2.Response | ErrorDecision:
        try:
            async with asyncio.timeout(timeout):
                return await self._http.get(add_query(url, self.endpoint.query), headers=self._get_headers)
        except TimeoutError:
            message = f"{url} did not respond within {timeout:g} s: check whether the server is overloaded or hangs."
            return ErrorDecision(RetryAction.RETRY, "timeout", message)
        except SEND_ERRORS as error:
            return classify_exception(error, self.context)

    async def alive(self) -> bool:
        """Whether there is a key, and /health returns no 5xx.

        A 404 counts as alive, since only some servers have the route.
        """
        try:
            if self._keys.error is not None:
                await self._replace_key(self._key)
            status, _ = await self.get(f"{self.endpoint.root_url}/health", timeout=5.0)
        except (AttemptError, SettingsError):
            return False
        return status < 500

    async def aclose(self) -> None:
        await self._keys.aclose()
        if self._owns_http:
            await self._http.aclose()

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()
