"""What each fault that refuses a request says. Pure."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from hashlib import blake2b
from html import escape as escape_html
from typing import NoReturn

from aiohttp import web

from persqa_client.simulator.error_responses import Refusal, bad_request, busy, engine_dead, html
from persqa_client.simulator.lru import Memory
from persqa_client.simulator.wording import speaks_chinese

WORDS: dict[str, tuple[int, str, str | None]] = {
    "408": (408, "Request timed out.", None),
    "409": (409, "The request conflicts with another one; please try again.", None),
    "425": (425, "Too early; please try again.", None),
    "500": (500, "Internal server error", None),
    "payment": (402, "Insufficient credits: this account has no balance left.", "insufficient_credits"),
    "forbidden": (403, "This key is not allowed to use this model.", "permission_denied"),
    "too_large": (413, "The request body is larger than this server takes.", "request_too_large"),
    "unprocessable": (422, "The request can't be processed.", None),
}
"""Status, message and OpenAI's code of the faults that need no more than that."""

PAGES = {
    "502_html": (502, "Bad Gateway"),
    "504": (504, "Gateway Time-out"),
    "520": (520, "Web server is returning an unknown error"),
}


def refusal_for(kind: str, retry_after: float, now: datetime) -> Refusal:
    """The refusal that a fault of this kind (DOOR or LATE in simulator/faults.py) stands for."""
    if kind in WORDS:
        status, message, code = WORDS[kind]
        return Refusal(status, message, code=code)
    if kind in PAGES:
        return html(*PAGES[kind])
    if kind == "503":
        return busy()
    if kind == "engine_dead":
        return engine_dead()
    if kind == "quota":
        return quota()
    if kind in ("429", "429_date"):
        return rate_limit(wait_until(now, retry_after) if kind == "429_date" else f"{retry_after:g}")
    return bad_request(f"The simulator has no words for the fault {kind!r}.")


def rate_limit(retry_after: str) -> Refusal:
    """Too many requests; ``retry_after`` is the header's value, seconds or a date."""
    message = "Rate limit reached for requests; please try again later."
    return Refusal(429, message, code="rate_limit_exceeded", headers={"Retry-After": retry_after})


def quota() -> Refusal:
    """A 429 that no waiting helps: the account is empty. Servers of either shape pass OpenAI's words on."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return Refusal(429, message, code="insufficient_quota", type="insufficient_quota")


def wait_until(now: datetime, seconds: float) -> str:
    """An HTTP date (RFC 9110, section 5.6.7), which has whole seconds; rounded up. ``now`` is in UTC."""
    later = now + timedelta(seconds=seconds)
    if later.microsecond:
        later = later.replace(microsecond=0) + timedelta(seconds=1)
    return format_datetime(later, usegmt=True)


# What each fault of the kind "answer" makes of a good answer. Pure.


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice that a completion carries. ``text`` None stands for ``content: null``."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


REFUSALS = ("I'm sorry, but I can't help with identifying people.", "对不起，我无法识别图中的人物。")
STAND_INS = ("The person", "这个人")


def mangle(kind: str, message: Choice, tag: str | None) -> Choice:
    """The message as the fault leaves it; a kind of another sort leaves it alone."""
    text = message.text or ""
    chinese = speaks_chinese(text)
    if kind in ("length", "content_filter"):
        return replace(message, text=text[: len(text) // 2], finish_reason=kind)
    if kind == "refusal":
        return replace(message, text=REFUSALS[chinese])
    if kind == "refusal_field":
        return replace(message, text=None, refusal=REFUSALS[chinese])
    return replace(message, text=rewritten(kind, text, tag or ""))


def rewritten(kind: str, text: str, tag: str) -> str:
    """The text with its tag or its frame changed; without a tag to change, as it was."""
    if kind == "empty":
        return ""
    if kind == "think":
        return f"<think>\nThe question is about {tag or 'the picture'}, so I look at it first.\n</think>\n\n{text}"
    if kind == "fenced":
        return f"```\n{text}\n```"
    if not tag:
        return text
    if kind == "only_tag":
        return tag
    tags = {
        "no_tag": STAND_INS[speaks_chinese(text)],
        "bare_tag": tag.strip("<>"),
        "html_tag": escape_html(tag),
        "bold_tag": f"**{tag}**",
        "upper_tag": tag.upper(),
    }
    return text.replace(tag, tags.get(kind, tag))


# Faults of the connection itself: reset, cut off, silent, or bytes that are no JSON. Breaks sockets on purpose.

MISSING = 64
"""Bytes that a cut body promises and never sends."""


class Gone(web.Response):
    """Stands for an answer that no client gets: its connection is closed already."""


async def stall() -> NoReturn:
    """Wait for ever; the server cancels it when the client goes or when the server closes."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


async def broken(kind: str, request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer as a fault of the kind "wire" does. ``body`` is what a good answer would be."""
    if kind == "reset":
        return reset(request)
    if kind == "cut_body":
        return await cut(request, body)
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


def reset(request: web.Request) -> Gone:
    """Abort the connection; without lingering, the kernel sends RST in place of FIN."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return Gone()


async def cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise more bytes than are sent, then close."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body) + MISSING
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


# Which fault a request meets, drawn from a seed, its body and how often that came. Pure but for its counts.
#
# Kinds by what they break:
#
# door      refused before any work: 429 429_date 503 408 409 425 quota payment forbidden too_large unprocessable
# late      refused after the time of service: 500 502_html 504 520 engine_dead
# wire      the connection or its bytes: reset cut_body stall invalid_json
# body      a 200 without an answer: no_choices null_content error_in_200
# answer    an answer that is no good: length content_filter refusal refusal_field no_tag bare_tag html_tag bold_tag
#           upper_tag empty only_tag think fenced

DOOR = (
    "429",
    "429_date",
    "503",
    "408",
    "409",
    "425",
    "quota",
    "payment",
    "forbidden",
    "too_large",
    "unprocessable",
)
LATE = ("500", "502_html", "504", "520", "engine_dead")
WIRE = ("reset", "cut_body", "stall", "invalid_json")
BODY = ("no_choices", "null_content", "error_in_200")
ANSWER = (
    "length",
    "content_filter",
    "refusal",
    "refusal_field",
    "no_tag",
    "bare_tag",
    "html_tag",
    "bold_tag",
    "upper_tag",
    "empty",
    "only_tag",
    "think",
    "fenced",
)
KINDS = DOOR + LATE + WIRE + BODY + ANSWER

SEEN_BODIES = 1_000_000


def draw(rates: Mapping[str, float], seed: int, digest: bytes, times: int) -> str | None:
    """The fault of one request, or None: the same for the same arguments in any process; ``times`` counts from 0."""
    key = b"%d:%d:" % (seed, times) + digest
    point = int.from_bytes(blake2b(key, digest_size=8).digest(), "big") / 2**64
    for kind, rate in rates.items():
        if point < rate:
            return kind
        point -= rate
    return None


class Faults:
    """Deals out the faults of one endpoint: first the script, then by rate. A body sent again gets a new draw."""

    def __init__(self, rates: Mapping[str, float], seed: int = 0, script: Sequence[str] = ()) -> None:
        self.rates = {kind: rate for kind, rate in rates.items() if rate > 0}
        self.seed = seed
        self.script = list(reversed(script))
        self.seen = Memory[bytes, int](SEEN_BODIES)

    def next(self, body: bytes) -> str | None:
        """The fault of the next chat request, which has this body."""
        if self.script:
            kind = self.script.pop()
            return None if kind == "ok" else kind
        if not self.rates:
            return None
        digest = blake2b(body, digest_size=8).digest()
        times = self.seen.get(digest) or 0
        self.seen.put(digest, times + 1)
        return draw(self.rates, self.seed, digest, times)
