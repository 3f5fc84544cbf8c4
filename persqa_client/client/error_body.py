"""Reads the codes, the message and the time to retry after from the body of an error, at any depth.

Gateways repeat the error of the server behind them as an object, as JSON in a string, or as JSON within a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from json import JSONDecoder
from typing import Any

from persqa_client.client.json_text import BYTE_ORDER_MARK, encode_json, load_json
from persqa_client.client.redaction import Redactor
from persqa_client.types import Json

NO_SECRETS = Redactor()
# Validation errors repeat the request with its images and tokens, sometimes as JSON within JSON.
BASE64_RUN = re.compile(r"(?:[A-Za-z0-9+/=_\-]|\\[/n]){120,}")
DATA_URL = re.compile(r"(?<=base64,)[^\s\"'<>]+")
KEY_LIKE = re.compile(
    r"\b(?:sk|ak|pk|key|hf|gsk|xai|fw|csk|nvapi|tgp|pplx|org|proj|user)[-_][A-Za-z0-9_\-*]{8,}"
    r"|\bAIza[A-Za-z0-9_\-*]{8,}|\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-.]+|(?i:bearer)\s+\S+"
)
URL = re.compile(r"https?://[^\s\"'<>]+")
# Parts of a message that differ from request to request: URLs, numbers, and ids, which have digits or are long.
VARIABLE_TEXT = re.compile(r"https?://\S+|\b[\w-]*\d[\w-]*|\b[\w-]{20,}", re.IGNORECASE)
MAX_MESSAGE_CHARS = 400
MAX_BODY_CHARS = 20_000
MAX_WORDS_CHARS = 8_000  # patterns are searched in them

MARKUP = re.compile(r"\s*<(!doctype|html|head|body|h1|center|\?xml)", re.IGNORECASE)

# Keys under which servers give the code and the message of an error. A key that repeats the request is skipped.
CODE_KEYS = ("code", "type", "status", "reason", "error_type", "error_code", "errorcode", "__type", "error_name")
TEXT_KEYS = frozenset(
    {
        "message",
        "msg",
        "error",
        "detail",
        "title",
        "description",
        "error_description",
        "error_msg",
        "error_message",
        "status_msg",
        "raw",
        "data",
    }
)
ECHO_KEYS = frozenset({"input", "request", "messages", "headers", "body", "ctx", "previous_errors"})
# The keys that lead to an error. Codes elsewhere, such as those of a guardrail's findings, are about the request.
ERROR_KEYS = TEXT_KEYS | {"errors", "details", "metadata", "innererror", "inner_error", "cause", "fault", "base_resp"}
# Codes of an object in ``details`` without a message. Its ``type`` is that of a finding and does not count.
SILENT_DETAIL_KEYS = ("code", "reason")
# MiniMax's codes, in ``base_resp`` of a 200, and the statuses that correspond to them.
BASE_STATUSES = {1002: 429, 1004: 401, 1008: 402, 1039: 429, 2049: 401}
MAX_DEPTH = 8
MAX_OBJECTS = 100
DECODER = JSONDecoder()

# Words of messages that give no reason beyond the status: "404 page not found".
STATUS_WORDS = re.compile(
    r"[\W\d_]*(?:(?:an?|the|https?|error|api|page|status|code|request|resource|file|no|body|nginx|apache|bad|not|found"
    r"|forbidden|method|allowed|access|denied|gone|unprocessable|entity|content)[\W\d_]+)*",
    re.IGNORECASE,
)

# A quoted text of several words is part of the row, unless it is labelled as a message. A single word is a name.
QUOTED = re.compile(
    r"""(?<!\w)(['"`])(?=\S)(?:(?!\1(?!\w)).){1,1000}+\1(?!\w)|“[^”]{1,1000}”|‘[^’]{1,1000}’|「[^」]{1,1000}」""",
    re.DOTALL,
)
LABEL = re.compile(r"""\b(?:message|msg|error|detail)['"]?\s*[:=]\s*$""", re.IGNORECASE)

RETRY_KEYS = ("retry_after", "retryafter", "retry_after_seconds", "retrydelay", "retry_delay", "estimated_time")
RETRY_WORDS = re.compile(
    r"\b(?:(?:try again|retry|wait)(?: your request)?(?: again)? (?:in|after|for)|please wait(?: for)?|resets? in) "
    r"(?:about |~ ?)?"
)
DURATION = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s*(m(?:illi)?s(?:ec(?:ond)?s?)?|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])",
    re.IGNORECASE,
)
MILLISECONDS = ("ms", "milli")
SECONDS_BY_UNIT = {"m": 60.0, "s": 1.0, "h": 3600.0, "d": 86400.0}  # by first letter


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """``objects``: the error's JSON objects, the outer ones first. ``texts``: its messages, in the same order.

    ``texts`` are shortened and without base64, because a server may repeat the request with its images.
    """

    objects: tuple[dict[str, Any], ...] = ()
    texts: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()  # normalised: RateLimitError and RATE_LIMIT-error are rate_limit_error
    statuses: frozenset[int] = frozenset()  # HTTP statuses in the error and in those within it
    is_json: bool = False
    words: str = ""  # all messages, without URLs: the help page of one error may have the name of another
    own_words: str = ""  # ``words`` without the texts that the server quotes
    said: str = field(default="", compare=False)  # for users: one short line without secrets

    @property
    def is_page(self) -> bool:
        return not self.is_json and MARKUP.match(self.words) is not None

    @property
    def is_bare(self) -> bool:
        """Whether there is no reason: no body, a page, or only the name of the status (``Not Found``)."""
        if self.is_page:
            return True
        return STATUS_WORDS.fullmatch(f"{self.words} ") is not None

    @property
    def named_status(self) -> int | None:
        """The HTTP status that an error in a 200 names."""
        return next((number for one in self.objects if (number := find_status(one)) is not None), None)

    def find_retry_after(self, now: float) -> float | None:
        """Seconds after which to retry, from a field or from the message.

        ``now`` is Unix time.
        """
        for one in self.objects:
            for key, value in one.items():
                if key.lower() in RETRY_KEYS and (seconds := _parse_seconds(value)) is not None:
                    return seconds
                if key == "headers" and isinstance(value, dict) and (until := _read_reset(value)) is not None:
                    return max(0.0, until - now)
        words = self.own_words.lower()
        times = (_parse_seconds(words[match.end() :]) for match in RETRY_WORDS.finditer(words))
        return next((seconds for seconds in times if seconds is not None), None)


def find_status(one: dict[str, Any]) -> int | None:
    """The HTTP status that an object of an error names."""
    base = one.get("base_resp")
    if isinstance(base, dict) and isinstance(number := base.get("status_code"), int) and number in BASE_STATUSES:
        return BASE_STATUSES[number]
    for key in ("code", "status", "status_code", "statusCode", "http_code"):
        value = one.get(key)
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value, re.ASCII) else value
        if isinstance(number, int) and 400 <= number < 600:
            return number
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """An object or a message in an error."""

    value: dict[str, Any] | str
    key: str
    is_own: bool  # whether only ERROR_KEYS lead to it

    @property
    def codes(self) -> Iterator[str]:
        if not self.is_own or isinstance(self.value, str):
            return
        is_silent = self.key == "details" and self.value.keys().isdisjoint({"message", "msg"})
        keys = SILENT_DETAIL_KEYS if is_silent else CODE_KEYS
        for name, value in self.value.items():
            if name.lower() in keys and isinstance(value, str) and len(value) < 80:
                yield normalise_code(value)


def read_error_body(body: bytes | Json, redactor: Redactor = NO_SECRETS) -> ErrorBody:
    data = load_json(body) if isinstance(body, bytes) else body
    if not isinstance(data, dict | list):
        text = _shorten(_decode_ends(body) if data is None and isinstance(body, bytes) else str(data))
        return _make_body([text] if text.strip() else [], said=_clean([text], redactor))
    found = list(walk_error(data))
    objects = [one.value for one in found if isinstance(one.value, dict)]
    texts = list(_take_texts(found))
    whole = body if isinstance(body, bytes) else encode_json(body)
    shown = texts or _fallback_texts(objects) or [_shorten(_decode_ends(whole))]
    codes = frozenset(code for one in found for code in one.codes if code)
    own = (one.value for one in found if one.is_own and isinstance(one.value, dict))
    return _make_body(
        texts,
        said=_clean(shown, redactor),
        objects=tuple(objects),
        codes=codes,
        statuses=frozenset(number for one in own if (number := find_status(one)) is not None),
        is_json=True,
    )


def _take_texts(found: list[Found]) -> Iterator[str]:
    size = 0
    for one in found:
        if isinstance(one.value, str) and size < MAX_BODY_CHARS:
            text = _shorten(one.value)
            size += len(text)
            yield text


def _make_body(texts: list[str], *, said: str, **parts: Any) -> ErrorBody:
    own_texts = [remove_quoted(text[:MAX_WORDS_CHARS]) for text in texts]
    words, own_words = (URL.sub(" ", " ".join(some)[:MAX_WORDS_CHARS]) for some in (texts, own_texts))
    return ErrorBody(texts=tuple(texts), words=words, own_words=own_words, said=said, **parts)


def _decode_ends(body: bytes) -> str:
    """The beginning and the end of a long body."""
    if len(body) > 2 * MAX_BODY_CHARS:
        body = body[:MAX_BODY_CHARS] + " … ".encode() + body[-MAX_BODY_CHARS:]
    return body.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace")


def _shorten(text: str) -> str:
    """Shortens the text to MAX_BODY_CHARS, without base64. The reason may come before or after a repeated request."""
    if len(text) > 2 * MAX_BODY_CHARS:
        text = f"{text[:MAX_BODY_CHARS]} … {text[-MAX_BODY_CHARS:]}"
    text = BASE64_RUN.sub("…", DATA_URL.sub("…", text))
    return text if len(text) <= MAX_BODY_CHARS else f"{text[: MAX_BODY_CHARS // 2]} … {text[-MAX_BODY_CHARS // 2 :]}"


def remove_quoted(text: str) -> str:
    """The text without its quoted parts, unless all of it is quoted."""
    left = QUOTED.sub(_replace_quoted, text)
    return left if re.search(r"[^\W\d_]", left) else text


def _replace_quoted(match: re.Match[str]) -> str:
    is_named = LABEL.search(match.string, max(0, match.start() - 20), match.start()) is not None
    return match[0] if is_named or not re.search(r"\s", match[0]) else " … "


def walk_error(error: Any) -> Iterator[Found]:
    """The objects and the messages of an error, the outer ones first."""
    pending: list[tuple[Any, int, str, bool]] = [(error, 0, "error", True)]
    inner: list[tuple[str, Any]]
    seen = 0
    while pending and seen < MAX_OBJECTS:
        value, depth, key, is_own = pending.pop(0)
        seen += 1
        if isinstance(value, dict):
            yield Found(value, key, is_own)
            if isinstance(place := value.get("loc"), list) and isinstance(value.get("msg"), str):
                names = (str(part) for part in place if isinstance(part, str | int))
                yield Found(f"{'.'.join(names)}: {value['msg']}", key, is_own)
                continue
            inner = [(name.lower(), one) for name, one in value.items()]
        elif isinstance(value, list):
            inner = [(key, one) for one in value[:MAX_OBJECTS]]
        elif isinstance(value, str) and key in TEXT_KEYS and value.strip():
            nested = _find_json(value)
            if nested is None or not value.lstrip().startswith(("{", "[")):
                yield Found(value, key, is_own)
            inner = [] if nested is None else [(key, nested)]
        else:
            continue
        if depth < MAX_DEPTH:
            pending += [
                (one, depth + 1, name, is_own and name in ERROR_KEYS) for name, one in inner if name not in ECHO_KEYS
            ]


def _find_json(text: str) -> Any:
    """The JSON object or list that a string is or contains."""
    starts = [start for mark in "{[" if (start := text.find(mark)) >= 0]
    for start in sorted(starts):
        try:
            value, _ = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # ValueError: not JSON, or a number of too many digits
            continue
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            return value
    return None


def normalise_code(code: str) -> str:
    """
    >>> normalise_code("RateLimitError"), normalise_code("AllocationQuota.FreeTierOnly")
    ('rate_limit_error', 'allocation_quota_free_tier_only')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", code.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _fallback_texts(objects: list[dict[str, Any]]) -> list[str]:
    """Codes, if an error has no message."""
    names = (one.get(name) for one in objects for name in ("code", "type", "reason"))
    return [name for name in names if isinstance(name, str)][:1]


def _clean(texts: list[str], redactor: Redactor) -> str:
    """The messages in one line of at most MAX_MESSAGE_CHARS, without base64, keys, HTML and repetitions."""
    shown: list[str] = []
    for text in texts:
        if MARKUP.match(text):
            text = unescape(re.sub(r"<[^<>]*>", " ", re.sub(r"(?is)<(style|script)\b.*?(?:</\1>|\Z)", " ", text)))
        text = redact_secrets(" ".join(text.split()), redactor)
        if text and not any(text in one for one in shown):
            shown = [one for one in shown if one not in text] + [text]
    return ": ".join(one.rstrip(".:") if one is not shown[-1] else one for one in shown)[:MAX_MESSAGE_CHARS]


def mask_variable_text(message: str) -> str:
    """Equal for messages that differ only in ids, numbers and URLs."""
    return VARIABLE_TEXT.sub("#", message)


def redact_secrets(text: str, redactor: Redactor = NO_SECRETS) -> str:
    return KEY_LIKE.sub("…", BASE64_RUN.sub("…", DATA_URL.sub("…", redactor.clean(text))))


def _read_reset(headers: dict[str, Any]) -> float | None:
    """Unix time at which a used-up limit is reset, from the response headers of a server behind a gateway."""
    lowered = {str(name).lower(): str(value) for name, value in headers.items()}
    reset = lowered.get("x-ratelimit-reset", "")
    is_used_up = lowered.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{10}(?:\d{3})?", reset)
    return int(reset[:10]) if is_used_up else None


def _parse_seconds(value: object) -> float | None:
    """Seconds from a number, ``30s`` or ``1m30.5s``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e9 else None
    if not isinstance(value, str):
        return None
    total, end = None, 0
    while (match := DURATION.match(value, end)) is not None:
        unit = match[2].lower()
        seconds = 0.001 if unit.startswith(MILLISECONDS) else SECONDS_BY_UNIT[unit[0]]
        total = (total or 0.0) + float(match[1]) * seconds
        end = match.end()
    return total if total is None or total < 1e9 else None
