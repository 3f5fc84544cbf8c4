"""What a refusal looks like: status, headers and body, in vLLM's shape and in OpenAI's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

TYPES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    500: "InternalServerError",
    501: "NotImplementedError",
}
"""vLLM names the kind of an error so; what it has no class for goes by the status' own phrase."""

BUSY = "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."

PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    "<hr><center>nginx/1.27.3</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(eq=False)
class Refusal(Exception):
    """A request that gets no answer. ``code`` is OpenAI's word for it; vLLM puts the status in its place."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    type: str | None = None
    """Set where the words are OpenAI's own, whatever the shape."""
    headers: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None
    """An HTML page in place of a JSON body, as a proxy sends it."""
    plain: bool = False
    """Only ``{"error": message}``, as vLLM answers a wrong key."""
    value: object = None
    """What the parameter was, where vLLM repeats it."""
    malformed: bool = False
    """The body has not the form of a request: vLLM's own type for what its parser refuses."""

    def body(self, hosted: bool) -> Any:
        """The JSON body, decoded."""
        if self.plain and not hosted:
            return {"error": self.message}
        kind = self.type or (openai_type(self.status) if hosted else vllm_type(self.status))
        code = self.code if hosted or self.type else self.status
        if self.malformed and not hosted:
            kind = HTTPStatus(self.status).phrase
        text = self.message if hosted else self.message + self.tail()
        return {"error": {"message": text, "type": kind, "param": self.param, "code": code}}

    def tail(self) -> str:
        """vLLM's own checks repeat the parameter in the text; its parser does not."""
        if self.param is None or self.status != 400 or self.malformed:
            return ""
        value = "" if self.value is None else f", value={self.value}"
        return f" (parameter={self.param}{value})"


def vllm_type(status: int) -> str:
    """vLLM's name for an error of this status."""
    return TYPES.get(status) or HTTPStatus(status).phrase


def openai_type(status: int) -> str:
    """OpenAI's name for an error of this status."""
    if status == 429:
        return "requests"
    return "invalid_request_error" if status < 500 else "server_error"


def bad_request(message: str, param: str | None = None, code: str | None = None, value: object = None) -> Refusal:
    """A 400: this request can't be answered, however often it is sent."""
    return Refusal(400, message, param=param, code=code, value=value)


def malformed(kind: str, place: str, message: str) -> Refusal:
    """A 400 for a body that is no request. ``kind`` and ``place`` are pydantic's: missing, body.messages."""
    text = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{message}'}}"
    return Refusal(400, text, param=place, malformed=True)


def engine_dead() -> Refusal:
    """What vLLM says after its engine's process has died."""
    return Refusal(500, DEAD)


def busy() -> Refusal:
    """What vLLM says when its queue is full; it names no time to come back."""
    return Refusal(503, BUSY, code="overloaded")


def html(status: int, phrase: str) -> Refusal:
    """A proxy's page in place of the server's own words."""
    return Refusal(status, phrase, page=PAGE.format(title=f"{status} {phrase}"))
