"""Error responses of vLLM and OpenAI, including those of faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

# vLLM's error types; other statuses use their HTTP phrase.
VLLM_TYPES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    500: "InternalServerError",
    501: "NotImplementedError",
}

BUSY = "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."

HTML_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    "<hr><center>nginx/1.27.3</center>\r\n</body>\r\n</html>\r\n"
)

# Status, message and OpenAI's code of simple faults.
PLAIN_FAULTS: dict[str, tuple[int, str, str | None]] = {
    "408": (408, "Request timed out.", None),
    "409": (409, "The request conflicts with another one; please try again.", None),
    "425": (425, "Too early; please try again.", None),
    "500": (500, "Internal server error", None),
    "payment": (402, "Insufficient credits: this account has no balance left.", "insufficient_credits"),
    "forbidden": (403, "This key is not allowed to use this model.", "permission_denied"),
    "too_large": (413, "The request body is larger than this server takes.", "request_too_large"),
    "unprocessable": (422, "The request can't be processed.", None),
}

# Status and title of faults with a proxy's HTML page.
PAGE_FAULTS = {
    "502_html": (502, "Bad Gateway"),
    "504": (504, "Gateway Time-out"),
    "520": (520, "Web server is returning an unknown error"),
}


@dataclass(eq=False)
class ErrorResponse(Exception):
    """An HTTP error response.

    ``code`` is OpenAI's; vLLM has the status instead. ``page`` is an HTML body, ``plain`` is vLLM's short form
    ``{"error": message}``. ``value`` is the parameter's value, which vLLM repeats. ``malformed``: rejected by vLLM's
    request parser, which has its own error type.
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    # Use OpenAI's body in both shapes.
    type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None
    plain: bool = False
    value: object = None
    malformed: bool = False

    def body(self, hosted: bool) -> Any:
        if hosted:
            return self._error(self.message, self.type or openai_type(self.status), self.code)
        if self.plain:
            return {"error": self.message}
        if self.type:
            return self._error(self._vllm_message(), self.type, self.code)
        phrase = HTTPStatus(self.status).phrase
        kind = phrase if self.malformed else VLLM_TYPES.get(self.status, phrase)
        return self._error(self._vllm_message(), kind, self.status)

    def _error(self, message: str, kind: str, code: object) -> Any:
        return {"error": {"message": message, "type": kind, "param": self.param, "code": code}}

    def _vllm_message(self) -> str:
        """vLLM's checks, but not its parser, repeat the parameter."""
        if self.param is None or self.status != 400 or self.malformed:
            return self.message
        value = "" if self.value is None else f", value={self.value}"
        return f"{self.message} (parameter={self.param}{value})"


def openai_type(status: int) -> str:
    if status == 429:
        return "requests"
    return "invalid_request_error" if status < 500 else "server_error"


def bad_request_error(
    message: str, param: str | None = None, code: str | None = None, value: object = None
) -> ErrorResponse:
    return ErrorResponse(400, message, param=param, code=code, value=value)


def malformed_error(kind: str, place: str, message: str) -> ErrorResponse:
    """A 400 for a malformed request; ``kind`` and ``place`` are pydantic's, such as missing and body.messages."""
    text = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{message}'}}"
    return ErrorResponse(400, text, param=place, malformed=True)


def engine_dead_error() -> ErrorResponse:
    return ErrorResponse(500, DEAD)


def busy_error() -> ErrorResponse:
    return ErrorResponse(503, BUSY, code="overloaded")


def fault_error(kind: str, retry_after: float, now: datetime) -> ErrorResponse:
    if kind in PLAIN_FAULTS:
        status, message, code = PLAIN_FAULTS[kind]
        return ErrorResponse(status, message, code=code)
    if kind in PAGE_FAULTS:
        status, title = PAGE_FAULTS[kind]
        return ErrorResponse(status, title, page=HTML_PAGE.format(title=f"{status} {title}"))
    if kind == "503":
        return busy_error()
    if kind == "engine_dead":
        return engine_dead_error()
    if kind == "quota":
        # Both shapes forward OpenAI's body.
        message = "You exceeded your current quota, please check your plan and billing details."
        return ErrorResponse(429, message, code="insufficient_quota", type="insufficient_quota")
    wait = format_retry_date(now, retry_after) if kind == "429_date" else f"{retry_after:g}"
    message = "Rate limit reached for requests; please try again later."
    return ErrorResponse(429, message, code="rate_limit_exceeded", headers={"Retry-After": wait})


def format_retry_date(now: datetime, seconds: float) -> str:
    """An HTTP date (RFC 9110, section 5.6.7), rounded up to whole seconds."""
    later = now + timedelta(seconds=seconds)
    if later.microsecond:
        later = later.replace(microsecond=0) + timedelta(seconds=1)
    return format_datetime(later, usegmt=True)
