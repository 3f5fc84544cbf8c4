"""Finds the kind of fault behind an exception of a request, and its message in one line."""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator

import aiohttp
import httpx2
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError
from openai import APITimeoutError, OpenAIError

from persqa_client.client.classify import TransportFault

SEND_ERRORS = (OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
MAX_DETAIL = 200
POINTER_LINE = re.compile(r"^\s*\^\s*$", re.MULTILINE)
INCOMPLETE = "the response ended too early"


def iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def describe(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientResponseError):  # its string has the URL, which may contain a key
        return join_lines(f"{error.status} {error.message}")
    if isinstance(error, HttpProcessingError):
        return INCOMPLETE if isinstance(error, PayloadEncodingError) else join_lines(error.message)
    if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str):
        return INCOMPLETE
    return join_lines(str(error))


def join_lines(text: str) -> str:
    """Without the lines of aiohttp's parser that point at a character."""
    return " ".join(POINTER_LINE.sub("", text).split())


def shorten(detail: str) -> str:
    return detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…"


def find_fault(error: BaseException) -> tuple[TransportFault, str]:
    """The fault of an exception, and the message of its innermost cause, in one line.

    Searches the whole chain, because the SDK and httpx2 wrap exceptions.
    """
    chain = list(iter_causes(error))
    detail = next((text for link in reversed(chain) if (text := describe(link))), "")
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
    # The encodings of host names refuse empty and too long labels.
    ((aiohttp.ClientConnectorDNSError, UnicodeError), "dns"),
    ((aiohttp.ClientPayloadError, PayloadEncodingError), "reset"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "proxy"),
    ((HttpProcessingError,), "malformed"),
    ((ConnectionRefusedError, aiohttp.ClientConnectorError), "refused"),
    ((ConnectionResetError, BrokenPipeError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), "reset"),
    ((APITimeoutError, httpx2.TimeoutException), "timeout"),
)
