"""Classifies attempts without a response: finds the fault behind an exception, and turns it into an ErrorDecision."""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator
from typing import Literal

import aiohttp
import httpx2
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError
from openai import APITimeoutError, OpenAIError

from persqa_client.client.classify import classify_proxy_answer
from persqa_client.client.error_body import redact_secrets
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.types import ErrorDecision, RetryAction

TransportFault = Literal["timeout", "refused", "reset", "tls", "dns", "proxy", "url", "files", "malformed"]

SEND_ERRORS = (OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
NO_FILES = "no_connection_files"  # this process may open no more files
MAX_DETAIL = 200
POINTER_LINE = re.compile(r"^\s*\^\s*$", re.MULTILINE)
INCOMPLETE = "the response ended too early"


def classify_exception(error: BaseException, context: AttemptContext) -> ErrorDecision:
    for link in iter_causes(error):
        if isinstance(link, aiohttp.ClientHttpProxyError):
            return classify_proxy_answer(link.status, context)
    fault, detail = find_transport_fault(error)
    detail = redact_secrets(detail, context.redactor)
    return classify_transport_error(fault, detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…", context)


def iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _describe(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientResponseError):  # its string has the URL, which may contain a key
        return _join_lines(f"{error.status} {error.message}")
    if isinstance(error, HttpProcessingError):
        return INCOMPLETE if isinstance(error, PayloadEncodingError) else _join_lines(error.message)
    if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str):
        return INCOMPLETE
    return _join_lines(str(error))


def _join_lines(text: str) -> str:
    """Joins the lines, without those of aiohttp's parser that point at a character."""
    return " ".join(POINTER_LINE.sub("", text).split())


def find_transport_fault(error: BaseException) -> tuple[TransportFault, str]:
    """The fault of an exception, and the message of its innermost cause, in one line.

    Searches the whole chain, because the SDK and httpx2 wrap exceptions.
    """
    chain = list(iter_causes(error))
    detail = next((text for link in reversed(chain) if (text := _describe(link))), "")
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


def classify_transport_error(fault: TransportFault, detail: str, context: AttemptContext) -> ErrorDecision:
    url = context.base_url
    if fault == "timeout":
        return ErrorDecision(RetryAction.RETRY, "timeout", f"No answer within {context.timeout:g} s (--timeout).")
    if fault == "files":
        message = "This process cannot open more connections: raise its limit of open files (ulimit -n)."
        return ErrorDecision(RetryAction.WAIT, NO_FILES, message)
    if fault == "refused" and context.has_answered:
        return ErrorDecision(RetryAction.AWAIT_RECOVERY, "refused", f"{url} no longer accepts connections.")
    proxy = "HTTPS_PROXY" if url.startswith("https:") else "HTTP_PROXY"
    tls_advice = "name the certificate's authority with --ca-cert, or use http instead of https"
    messages = {
        "refused": f"Nothing listens at {url}: start the server or correct --base-url",
        "dns": f"The host of {url} cannot be resolved: check --base-url and the network",
        "proxy": f"The proxy for {url} accepts no connections ({detail}): correct {proxy} or NO_PROXY",
        "tls": f"No secure connection to {url} ({detail}): {tls_advice}",
        "url": f"{url} is not a valid address ({detail})",
    }
    if fault in messages and (not context.has_answered or fault == "url"):
        return ErrorDecision(RetryAction.STOP, f"no_connection_{fault}", f"{messages[fault]}.")
    if fault == "dns":
        message = f"The host of {url} can no longer be resolved."
        return ErrorDecision(RetryAction.AWAIT_RECOVERY, "no_connection_dns", message)
    if fault == "malformed":
        message = f"The response of {url} is not valid HTTP ({detail}): check the scheme and port of --base-url."
        return ErrorDecision(RetryAction.RETRY, "connection_lost", message)
    return ErrorDecision(RetryAction.RETRY, "connection_lost", f"The connection was lost ({detail or fault}).")
