"""What a failed attempt means: the table "Trying again", as functions of what came back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, Literal

import orjson

from persqa_client.client.dialect import OPTIONAL_FIELDS, find_refused_field
from persqa_client.limits.rate_limit import seconds_until_available
from persqa_client.types import ErrorDecision, RetryAction

LONG_RUN = re.compile(r"(?:[A-Za-z0-9+/=_\-]|\\[/n]){120,}")
"""Base64 or a token: validation errors echo the request, pictures included, at times as JSON within JSON."""
DATA_URL = re.compile(r"(?<=base64,)[^\s\"'<>]+")
KEY_LIKE = re.compile(r"\b(sk|key|hf|gsk|xai)[-_][A-Za-z0-9_\-*]{8,}|(?i:bearer)\s+\S+")
MAX_MESSAGE_CHARS = 400

PRESSURE = frozenset({408, 409, 425, 429, 503})
"""The statuses of a server that is busy."""

UNREACHABLE_CODES = frozenset(
    {"connection_lost", "http_502", "http_504", *(f"http_{status}" for status in range(520, 530))}
)
"""Codes of what a proxy, a tunnel or a container's port says for a server that is away, but not for that alone."""

TransportFault = Literal["timeout", "refused", "reset", "tls", "dns", "proxy", "url", "files"]
"""What can go wrong besides a status: before its line is there, or with what follows it."""


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What a verdict depends on besides the reply. ``has_answered``: this endpoint has answered this run before."""

    base_url: str
    model: str
    key: str = field(default="", repr=False)
    """The key that is sent, kept out of every verdict; empty where there is none."""
    has_answered: bool = False
    timeout: float = 120.0
    optional_fields: frozenset[str] = field(default=OPTIONAL_FIELDS)
    """Names of the fields that requests carry and could do without."""


def classify_response(
    status: int, headers: Mapping[str, str], body: bytes, context: AttemptContext, *, now: float
) -> ErrorDecision:
    """The verdict on a reply that is not a 200. ``now`` (Unix seconds) turns a Retry-After date into seconds."""
    words = read_error_message(body, context.key)
    error = decode_error(body)
    if (stop := _stops_run(status, headers, error, words, context)) is not None:
        return stop
    if status in PRESSURE:
        wait = parse_retry_after(headers, now)
        if wait is None and status == 429:
            wait = seconds_until_available(headers, now) or None
        message = f"The server is busy ({status}){quote_server_message(words)}."
        return ErrorDecision(RetryAction.WAIT, f"http_{status}", message, retry_after=wait, status=status, raw=words)
    if status >= 500:
        return _judge_5xx(status, words)
    return _judge_4xx(status, error, words, context)


def _stops_run(
    status: int, headers: Mapping[str, str], error: dict[str, Any], words: str, context: AttemptContext
) -> ErrorDecision | None:
    code, message = "", ""
    if status == 401:
        way_out = "the key is wrong or expired" if context.key else "it wants a key and none was sent"
        code = "wrong_key"
        message = (
            f"The server refuses us (401): {way_out}; name the variable that holds the right key: --api-key-env NAME"
        )
    elif status == 402:
        code, message = "no_credit", f"The server wants payment first (402){quote_server_message(words)}"
    elif status == 403 and not context.has_answered:
        code, message = (
            "forbidden",
            f"The server forbids this (403){quote_server_message(words)}; check the key's rights and --base-url",
        )
    elif status == 404:
        code, message = _explain_404(words, context)
    elif status in {405, 410}:
        address = f"{context.base_url} is no OpenAI-compatible endpoint ({status})"
        code, message = "wrong_url", f"{address}; {_other_address(context.base_url)}"
    elif 300 <= status < 400:
        # A login page's address carries tokens behind its question mark.
        target = headers.get("location", "another place").partition("?")[0]
        code, message = "redirected", f"{context.base_url} redirects to {target}; give the final address as --base-url"
    elif status == 429 and "insufficient_quota" in _codes(error):
        code, message = "no_quota", f"The account's quota is used up (429){quote_server_message(words)}"
    return ErrorDecision(RetryAction.STOP, code, f"{message}.", status=status, raw=words) if code else None


def _explain_404(words: str, context: AttemptContext) -> tuple[str, str]:
    if "model" in words.lower():
        return (
            "unknown_model",
            f"The server does not serve a model called {context.model!r} (404){quote_server_message(words)}; "
            "check --model",
        )
    advice = _other_address(context.base_url)
    return "wrong_url", f"{context.base_url} answers, but has no /chat/completions (404); {advice}"


def _other_address(base_url: str) -> str:
    """Advice on an address that is wrong: the two usual slips are no /v1, and the whole address of the chat."""
    root = base_url.removesuffix("/chat/completions")
    if root == base_url and base_url.endswith("/v1"):
        return "check --base-url"
    return f"did you mean --base-url {root if root != base_url else f'{base_url}/v1'}?"


def _judge_5xx(status: int, words: str) -> ErrorDecision:
    if "EngineCore" in words or "EngineDead" in words:
        return ErrorDecision(
            RetryAction.AWAIT_RECOVERY, "engine_dead", "The server's engine has died (500).", status=status, raw=words
        )
    if "allowed-local-media-path" in words:
        message = f"The server can't open local files{quote_server_message(words)}."
        return ErrorDecision(RetryAction.FAIL, "rejected", message, status=status, raw=words)
    return ErrorDecision(
        RetryAction.RETRY,
        f"http_{status}",
        f"The server failed ({status}){quote_server_message(words)}.",
        status=status,
        raw=words,
    )


def _judge_4xx(status: int, error: dict[str, Any], words: str, context: AttemptContext) -> ErrorDecision:
    if status in {400, 422} and (name := find_refused_field(error, context.optional_fields)) is not None:
        message = f"The server does not take {name} ({status}){quote_server_message(words)}."
        return ErrorDecision(
            RetryAction.ADAPT, "unsupported_parameter", message, parameter=name, status=status, raw=words
        )
    code = "rejected"
    if "maximum context length" in words or "context_length_exceeded" in _codes(error):
        code = "context_overflow"
    elif _codes(error) & {"image"} or re.search(r"at most \d+ image", words, re.IGNORECASE):
        code = "too_many_images"
    elif status == 413:
        code = "too_large"
    return ErrorDecision(
        RetryAction.FAIL,
        code,
        f"The server rejects this row ({status}){quote_server_message(words)}.",
        status=status,
        raw=words,
    )


def classify_transport_error(fault: TransportFault, detail: str, context: AttemptContext) -> ErrorDecision:
    """The verdict on an attempt that got no reply, or less than a whole one."""
    where = context.base_url
    if fault == "timeout":
        return ErrorDecision(RetryAction.RETRY, "timeout", f"No answer within {context.timeout:g} s (--timeout).")
    if fault == "refused" and context.has_answered:
        return ErrorDecision(RetryAction.AWAIT_RECOVERY, "refused", f"{where} no longer takes connections.")
    messages = {
        "refused": f"Nothing listens at {where}: start the server or correct --base-url",
        "dns": f"The host of {where} can't be found: check --base-url and the network",
        "proxy": f"The proxy on the way to {where} takes no connections ({detail}): correct HTTPS_PROXY or NO_PROXY",
        "tls": f"No secure connection to {where} ({detail}): check the certificate, or http instead of https",
        "url": f"{where} can't be used as an address ({detail})",
        "files": "This process may open no more connections: lower --concurrency or raise the limit (ulimit -n)",
    }
    if fault in messages and (not context.has_answered or fault in {"url", "files"}):
        return ErrorDecision(RetryAction.STOP, f"no_connection_{fault}", f"{messages[fault]}.")
    if fault == "dns":
        return ErrorDecision(
            RetryAction.AWAIT_RECOVERY, "no_connection_dns", f"The host of {where} can't be found any more."
        )
    return ErrorDecision(RetryAction.RETRY, "connection_lost", f"The connection broke off ({detail or fault}).")


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); None if not told."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None or (seconds := _number(value)) is not None:
        return None if value is None else max(0.0, seconds or 0.0)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and number == number and number < 1e9 else None


def decode_error(body: bytes) -> dict[str, Any]:
    """The decoded body; Gemini's endpoint puts its error into a list."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(data, list) and data:
        data = data[0]
    return data if isinstance(data, dict) else {}


def read_error_status(body: bytes) -> int | None:
    """The status that an error would have been sent with, had the answer not begun, where it is the server's trouble.

    vLLM's code of an error is a status, but older versions call all that goes wrong from here on a 400; and what is the
    request's own fault is told before an answer begins.
    """
    error = decode_error(body).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and (code in PRESSURE or 500 <= code < 600) else None


def _codes(error: dict[str, Any]) -> set[str]:
    detail = error.get("error")
    return {str(detail.get(key)) for key in ("code", "type", "param")} if isinstance(detail, dict) else set()


def read_error_message(body: bytes, key: str = "") -> str:
    """What the server said, in one short line: no base64, no key, no HTML, cut to some hundred characters."""
    data = decode_error(body)
    detail = data.get("error", data.get("detail", data.get("message")))
    if isinstance(detail, dict):
        detail = detail.get("message") or detail.get("code") or detail.get("type")
    if isinstance(detail, list):
        detail = orjson.dumps(detail[:2]).decode()
    text = detail if isinstance(detail, str) else body[:20_000].decode("utf-8", "replace")
    if re.match(r"\s*<(!doctype|html|head|body)", text, re.IGNORECASE):
        text = unescape(re.sub(r"<[^<>]*>", " ", re.sub(r"(?is)<(style|script).*?</\1>", " ", text)))
    return redact_secrets(" ".join(text.split()), key)[:MAX_MESSAGE_CHARS]


def redact_secrets(text: str, key: str = "") -> str:
    """The text without ``key`` and without anything that looks like base64 or a key."""
    if key:
        text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "…", text)
    return KEY_LIKE.sub("…", LONG_RUN.sub("…", DATA_URL.sub("…", text)))


def quote_server_message(words: str) -> str:
    """The server's words as the end of a sentence."""
    return f": {words.rstrip('.')}" if words else ""
