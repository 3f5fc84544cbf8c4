"""One attempt to download a picture: redirects, limits of size and time, and what a failure means.

The address that is checked is the one that is connected to: ``CheckedResolver`` gives the connector only addresses that
may be used, and hosts that are addresses themselves, which are not resolved, are checked before.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urljoin
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from persqa_client.addresses import is_public, parse_address
from persqa_client.client.retry import parse_retry_after
from persqa_client.errors import RowError
from persqa_client.fetching.daemon_threads import start_thread
from persqa_client.fetching.policy import AllowedHosts, FetchLimits, RefusedAddress

# Bytes that are asked for at once.
PIECE = 65_536
# Maximum bytes of one header line, and of the status line. A signed redirect of an object store has about 2,000.
MAX_LINE = 16_384
# What the resolver has found is no name.
NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
HEADERS = {"User-Agent": "persqa-client", "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Refused for the moment; other servers' errors are 500 and above.
BUSY = frozenset({408, 425, 429})
DENIED = frozenset({401, 402, 403, 407, 451})
# Not tried again.
LASTING_FAULTS = (aiohttp.ClientSSLError, aiohttp.ClientResponseError, aiohttp.InvalidURL)
SCHEMES = frozenset({"http", "https"})
TARGET = re.compile(r"[a-z]+://[^/?#]*(?P<target>[^#]*)", re.IGNORECASE)
# A path and a query that are valid as they are, and whose dots are no folders.
PLAIN_TARGET = re.compile(r"(?!.*/\.\.?(?:[/?]|$))(?:[\w\-.~!$&'()*+,;=:@/?|]|%[0-9a-f]{2})*", re.IGNORECASE | re.ASCII)


class FailedAttempt(Exception):
    """A failure that another attempt may avoid. ``error``: the error of the row if there is no other attempt."""

    def __init__(self, error: RowError, retry_after: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after


class HostGates:
    """Bounds the connections to each host, whatever rows and redirects lead to it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def get(self, host: str) -> asyncio.Semaphore:
        gate = self._gates.get(host)
        if gate is None:
            gate = self._gates[host] = asyncio.Semaphore(self._size)
        return gate


class ThreadResolver(AbstractResolver):
    """That of the system. It may block for half a minute for a name of a domain whose servers do not answer."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        look_up = partial(
            socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
        return [
            ResolveResult(hostname=host, host=str(place[0]), port=port, family=kind, proto=protocol, flags=NUMERIC)
            for kind, _, protocol, _, place in await start_thread(look_up, name="resolve")
        ]

    async def close(self) -> None:
        pass


class CheckedResolver(AbstractResolver):
    """Resolves names to those of their addresses that may be connected to. Forms such as 0x7f000001 are names here."""

    def __init__(self, resolver: AbstractResolver, allowed: AllowedHosts) -> None:
        self._resolver = resolver
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises RefusedAddress if there is none, and OSError like the resolver."""
        try:
            found = await self._resolver.resolve(host, port, family)
        except UnicodeError as error:  # a part of the name is empty or too long
            raise socket.gaierror(socket.EAI_NONAME, "the name of the host is not valid") from error
        permitted = [each for each in found if self._allowed.permit(host, each["host"])]
        if found and not permitted:
            raise RefusedAddress(host, found[0]["host"])
        return permitted

    async def close(self) -> None:
        await self._resolver.close()


def open_session(
    allowed: AllowedHosts, limits: FetchLimits, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Keeps no cookies, and reads no proxies and passwords of the environment: a proxy would choose the address.

    ``resolver``: by default, that of the system.
    """
    checked = CheckedResolver(resolver or ThreadResolver(), allowed)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=checked, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.read_timeout, sock_read=limits.read_timeout),
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        headers=HEADERS,
    )


class Downloader:
    """Belongs to one event loop. ``session``: from ``open_session``."""

    def __init__(self, session: aiohttp.ClientSession, allowed: AllowedHosts, limits: FetchLimits) -> None:
        self._session = session
        self._allowed = allowed
        self._limits = limits
        self._gates = HostGates(limits.per_host)
        self._connections = asyncio.Semaphore(limits.connections)

    async def download(self, reference: str, write: Callable[[bytes], object]) -> None:
        """``write`` gets the content piece by piece. Raises RowError without a subject, and FailedAttempt.

        The wait for a place among the connections to a host does not count as time.
        """
        url: URL | None = parse_web_url(reference)
        left = self._limits.timeout
        for _ in range(self._limits.redirects + 1):
            assert url is not None
            self._check_host(url)
            async with self._gates.get(url.host or ""), self._connections:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(left):
                        url = await self._request(url, write)
                except TimeoutError as error:
                    raise_timeout(error, self._limits)
                except (aiohttp.ClientError, ssl.SSLError, OSError, RefusedAddress) as error:
                    raise_connection_error(error)
            if url is None:
                return
            left = max(0.0, left - (time.monotonic() - began))
        raise RowError("fetch_redirects", f"is redirected more than {self._limits.redirects} times; correct the URL.")

    def _check_host(self, url: URL) -> None:
        try:
            self._allowed.check_literal(url.host or "")
        except RefusedAddress as error:
            raise refused_address_error(error) from error

    async def _request(self, url: URL, write: Callable[[bytes], object]) -> URL | None:
        """The URL to which the request is redirected; None if the picture was written."""
        response = await self._session.get(url, allow_redirects=False)
        try:
            if response.status in REDIRECTS:
                return find_redirect(url, response.headers.get("Location"))
            if response.status != HTTPStatus.OK:
                raise_status(response.status, response.headers)
            check_headers(response.headers, self._limits.max_bytes)
            size = 0
            async for piece in response.content.iter_chunked(PIECE):
                size += len(piece)
                if size > self._limits.max_bytes:
                    raise too_large_error(None, self._limits.max_bytes)
                write(piece)
            return None
        finally:
            # Not released: what is left of a body is not read.
            response.close()


def parse_web_url(text: str) -> URL:
    """Raises RowError for a URL that is not asked for, also if it names a user, who would be sent to the host."""
    try:
        url = URL(text.strip())
        well_formed = url.scheme in SCHEMES and bool(url.host) and url.port not in (None, 0)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise RowError("fetch_refused", "is not a URL such as https://host/picture.jpg; correct it.")
    if url.user is not None or url.password is not None:
        raise RowError("fetch_refused", "names a user or password, which is not sent; download it first.")
    return keep_target(url.with_fragment(None), text)


def keep_target(url: URL, text: str) -> URL:
    """The path and the query as they are written: a server may compare them with a signature. yarl would write, for
    example, ``%2F`` in a query as a slash.
    """
    found = TARGET.match(text.strip())
    if found is None or not PLAIN_TARGET.fullmatch(found["target"]):
        return url
    path, _, query = found["target"].partition("?")
    return URL.build(scheme=url.scheme, authority=url.raw_authority, path=path or "/", query_string=query, encoded=True)


def find_redirect(url: URL, location: str | None) -> URL:
    """Raises RowError."""
    if not location:
        raise RowError("fetch_redirects", "is redirected without an address; correct the URL.")
    try:
        return parse_web_url(urljoin(str(url), location))
    except (ValueError, RowError) as error:
        # Not shown: it may have a password.
        raise RowError(
            "fetch_refused",
            "is redirected to what is no http(s) URL, or names a user; correct the URL.",
        ) from error


def check_headers(headers: Mapping[str, str], max_bytes: int) -> None:
    """Raises RowError for a content that is not read."""
    encoding = (headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise RowError("fetch_failed", f"is sent compressed ({encoding[:20]}), although that was not asked for.")
    length = headers.get("Content-Length")
    if length is not None and length.isdecimal() and int(length) > max_bytes:
        raise too_large_error(int(length), max_bytes)


def too_large_error(size: int | None, max_bytes: int) -> RowError:
    amount = f"has {size / 1e6:,.0f} MB" if size is not None else f"has more than {max_bytes / 1e6:,.0f} MB"
    return RowError("image_too_large", f"{amount}; raise --fetch-max-mb, or make it smaller.")


def raise_status(status: int, headers: Mapping[str, str]) -> NoReturn:
    try:
        phrase = f" ({HTTPStatus(status).phrase})"
    except ValueError:
        phrase = ""
    answer = f"answers with HTTP {status}{phrase}"
    if status in BUSY or status >= 500:
        error = RowError("fetch_failed", f"{answer}; ask again later with --retry-failed.")
        raise FailedAttempt(error, parse_retry_after(headers, time.time()))
    if status in (404, 410):
        raise RowError("fetch_missing", f"{answer}; correct the URL.")
    if status in DENIED:
        raise RowError("fetch_denied", f"{answer}; download it first with the credentials that it needs.")
    raise RowError("fetch_failed", f"{answer}.")


def raise_timeout(error: TimeoutError, limits: FetchLimits) -> NoReturn:
    """aiohttp's own timeouts are those of the connection and of the next bytes, which are tried again."""
    if isinstance(error, aiohttp.ServerTimeoutError):
        lack = RowError("fetch_timeout", f"sent nothing for {limits.read_timeout:g} s.")
        raise FailedAttempt(lack) from error
    raise RowError(
        "fetch_timeout", f"took longer than {limits.timeout:g} s; raise --fetch-timeout, or download it first."
    ) from error


def raise_connection_error(error: Exception) -> NoReturn:
    if isinstance(error, RefusedAddress):
        raise refused_address_error(error) from error
    detail = describe_fault(error)
    failed = RowError("fetch_failed", f"can't be downloaded: {detail}.")
    if isinstance(error, LASTING_FAULTS) or is_unknown_host(error):
        raise failed from error
    raise FailedAttempt(failed) from error


def is_unknown_host(error: Exception) -> bool:
    """Whether the resolver reported that the name does not exist. Otherwise it may be out of service for a while."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorDNSError) else None
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME


def describe_fault(error: Exception) -> str:
    """Describes the failure in a few words, without the URL, which may have a key in its query."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host {error.host} can't be resolved"
        case aiohttp.ClientSSLError():
            return f"no secure connection to {error.host} is possible"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host} is possible ({error.os_error.strerror or 'refused'})"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "the response ended too early"
        case aiohttp.ClientResponseError():
            return "the response is not valid HTTP, or its headers are too long"
        case aiohttp.InvalidURL():
            return "its URL is not valid"
    return getattr(error, "strerror", None) or type(error).__name__


def refused_address_error(error: RefusedAddress) -> RowError:
    place = error.host if error.host == error.address else f"{error.host} ({error.address})"
    address = parse_address(error.address)
    if address is not None and is_public(address):
        return RowError("fetch_refused", f"lies on {place}, a public address, and --local-only allows none.")
    advice = f"if you trust it, give --fetch-allow {error.host}"
    return RowError("fetch_refused", f"lies on {place}, which is not a public address; {advice}.")
