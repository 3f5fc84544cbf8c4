"""Classifies failed attempts: turns a response or a transport error into an ErrorDecision."""

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

# Validation errors repeat the request with its images and tokens, sometimes as JSON within JSON.
BASE64_RUN = re.compile(r"(?:[A-Za-z0-9+/=_\-]|\\[/n]){120,}")
DATA_URL = re.compile(r"(?<=base64,)[^\s\"'<>]+")
KEY_LIKE = re.compile(r"\b(sk|key|hf|gsk|xai)[-_][A-Za-z0-9_\-*]{8,}|(?i:bearer)\s+\S+")
MAX_MESSAGE_CHARS = 400

BUSY_STATUSES = frozenset({408, 409, 425, 429, 503})

# Status codes of proxies for an unavailable server; servers use some of them for other errors.
UNREACHABLE_CODES = frozenset(
    {"connection_lost", "http_502", "http_504", *(f"http_{status}" for status in range(520, 530))}
)

NO_FILES = "no_connection_files"  # this process may open no more files

TransportFault = Literal["timeout", "refused", "reset", "tls", "dns", "proxy", "url", "files"]


@dataclass(frozen=True, slots=True)
class AttemptContext:
    base_url: str
    model: str
    key: str = field(default="", repr=False)  # removed from every message
    has_answered: bool = False  # if true, the settings are right, and a refused connection is an outage
    timeout: float = 120.0
    optional_fields: frozenset[str] = field(default=OPTIONAL_FIELDS)


def classify_response(
    status: int, headers: Mapping[str, str], body: bytes, context: AttemptContext, *, now: float
) -> ErrorDecision:
    said = read_error_message(body, context.key)
    error = decode_error(body)
    if (fatal := _find_fatal_error(status, headers, error, said, context)) is not None:
        code, message = fatal
        return ErrorDecision(RetryAction.STOP, code, f"{message}.", status=status, raw=said)
    if status in BUSY_STATUSES:
        wait = parse_retry_after(headers, now)
        if wait is None and status == 429:
            wait = seconds_until_available(headers, now) or None
        message = f"The server is busy ({status}){quote_server_message(said)}."
        return ErrorDecision(RetryAction.WAIT, f"http_{status}", message, retry_after=wait, status=status, raw=said)
    if status >= 500:
        return _classify_server_error(status, said)
    return _classify_client_error(status, error, said, context)


def _find_fatal_error(
    status: int, headers: Mapping[str, str], error: dict[str, Any], said: str, context: AttemptContext
) -> tuple[str, str] | None:
    quote = quote_server_message(said)
    if status == 401:
        reason = "the key is wrong or expired" if context.key else "the server requires a key and none was sent"
        advice = "name the variable that holds the right key with --api-key-env"
        return "wrong_key", f"Authentication failed (401 Unauthorized): {reason}; {advice}"
    if status == 402:
        return "no_credit", f"The account has no credit (402 Payment Required){quote}"
    if status == 403 and not context.has_answered:
        return "forbidden", f"Access denied (403 Forbidden){quote}; check the permissions of the key, and --base-url"
    if status == 404 and "model" in said.lower():
        return "unknown_model", f"The server does not serve the model {context.model!r} (404){quote}; check --model"
    if status == 404:
        return "wrong_url", f"{context.base_url} has no /chat/completions (404); {_advise_url(context.base_url)}"
    if status in {405, 410}:
        problem = f"{context.base_url} is not an OpenAI-compatible endpoint ({status})"
        return "wrong_url", f"{problem}; {_advise_url(context.base_url)}"
    if 300 <= status < 400:
        # The query of a login page's URL may contain tokens.
        target = headers.get("location", "another address").partition("?")[0]
        return "redirected", f"{context.base_url} redirects to {target}; use the final address as --base-url"
    if status == 429 and "insufficient_quota" in _error_codes(error):
        return "no_quota", f"The account's quota is used up (429){quote}"
    return None


def _advise_url(base_url: str) -> str:
    # Common mistakes: missing /v1, or the full address of the chat route.
    root = base_url.removesuffix("/chat/completions")
    if root == base_url and base_url.endswith("/v1"):
        return "check --base-url"
    return f"did you mean --base-url {root if root != base_url else f'{base_url}/v1'}?"


def _classify_server_error(status: int, said: str) -> ErrorDecision:
    action, code, message = RetryAction.RETRY, f"http_{status}", f"Server error ({status}){quote_server_message(said)}."
    if "EngineCore" in said or "EngineDead" in said:
        action, code, message = RetryAction.AWAIT_RECOVERY, "engine_dead", "The server's engine has died (500)."
    elif "allowed-local-media-path" in said:
        message = f"The server cannot open local files{quote_server_message(said)}."
        action, code = RetryAction.FAIL, "rejected"
    return ErrorDecision(action, code, message, status=status, raw=said)


def _classify_client_error(status: int, error: dict[str, Any], said: str, context: AttemptContext) -> ErrorDecision:
    quote = quote_server_message(said)
    if status in {400, 422} and (name := find_refused_field(error, context.optional_fields)) is not None:
        message = f"The server does not support {name} ({status}){quote}."
        return ErrorDecision(
            RetryAction.ADAPT, "unsupported_parameter", message, parameter=name, status=status, raw=said
        )
    code = "rejected"
    if "maximum context length" in said or "context_length_exceeded" in _error_codes(error):
        code = "context_overflow"
    elif _error_codes(error) & {"image"} or re.search(r"at most \d+ image", said, re.IGNORECASE):
        code = "too_many_images"
    elif status == 413:
        code = "too_large"
    message = f"The server rejected this row ({status}){quote}."
    return ErrorDecision(RetryAction.FAIL, code, message, status=status, raw=said)


def classify_transport_error(fault: TransportFault, detail: str, context: AttemptContext) -> ErrorDecision:
    url = context.base_url
    if fault == "timeout":
        return ErrorDecision(RetryAction.RETRY, "timeout", f"No answer within {context.timeout:g} s (--timeout).")
    if fault == "files":
        message = "This process cannot open more connections: raise its limit of open files (ulimit -n)."
        return ErrorDecision(RetryAction.WAIT, NO_FILES, message)
    if fault == "refused" and context.has_answered:
        return ErrorDecision(RetryAction.AWAIT_RECOVERY, "refused", f"{url} no longer accepts connections.")
    messages = {
        "refused": f"Nothing listens at {url}: start the server or correct --base-url",
        "dns": f"The host of {url} cannot be resolved: check --base-url and the network",
        "proxy": f"The proxy for {url} accepts no connections ({detail}): correct HTTPS_PROXY or NO_PROXY",
        "tls": f"No secure connection to {url} ({detail}): check the certificate, or use http instead of https",
        "url": f"{url} is not a valid address ({detail})",
    }
    if fault in messages and (not context.has_answered or fault == "url"):
        return ErrorDecision(RetryAction.STOP, f"no_connection_{fault}", f"{messages[fault]}.")
    if fault == "dns":
        message = f"The host of {url} can no longer be resolved."
        return ErrorDecision(RetryAction.AWAIT_RECOVERY, "no_connection_dns", message)
    return ErrorDecision(RetryAction.RETRY, "connection_lost", f"The connection was lost ({detail or fault}).")


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); None without them."""
    if (milliseconds := _parse_float(headers.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _parse_float(value)) is not None:
        return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _parse_float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and number == number and number < 1e9 else None


def decode_error(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(data, list) and data:  # Gemini's endpoint sends a list
        data = data[0]
    return data if isinstance(data, dict) else {}


def read_error_status(body: bytes) -> int | None:
    """Status in a streamed error, if it means a busy or failing server.

    Older vLLM versions report all streamed errors as 400, although bad requests fail before the stream.
    """
    error = decode_error(body).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and (code in BUSY_STATUSES or 500 <= code < 600) else None


def _error_codes(error: dict[str, Any]) -> set[str]:
    detail = error.get("error")
    return {str(detail.get(key)) for key in ("code", "type", "param")} if isinstance(detail, dict) else set()


def read_error_message(body: bytes, key: str = "") -> str:
    """The error message in one line of at most MAX_MESSAGE_CHARS, without base64, keys and HTML."""
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
    if key:
        text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "…", text)
    return KEY_LIKE.sub("…", BASE64_RUN.sub("…", DATA_URL.sub("…", text)))


def quote_server_message(said: str) -> str:
    """``: message`` for the end of a sentence; empty without a message."""
    return f": {said.rstrip('.')}" if said else ""
