"""Faults: their schedule, and their effects on answers, bodies and connections."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from html import escape as escape_html
from typing import Any, NoReturn

from aiohttp import web
from cachetools import LRUCache

from persqa_client.simulator.wording import contains_chinese

# fmt: off
# Error responses before the latency, and after it.
REJECTIONS = (
    "429", "429_date", "503", "408", "409", "425", "quota", "payment", "forbidden", "too_large", "unprocessable",
)
LATE_ERRORS = ("500", "502_html", "504", "520", "engine_dead")
# A broken connection or body.
CONNECTION_FAULTS = ("reset", "cut_body", "stall", "invalid_json")
# A 200 without an answer.
BODY_FAULTS = ("no_choices", "null_content", "error_in_200")
# An answer that fails the checks or needs repair.
ANSWER_FAULTS = (
    "length", "content_filter", "refusal", "refusal_field", "no_tag", "bare_tag", "html_tag", "bold_tag", "upper_tag",
    "empty", "only_tag", "think", "fenced",
)
# A wrong reply to a question for yes or no; other replies are not changed.
VERDICT_FAULTS = ("wrong_verdict",)
# fmt: on
FAULT_KINDS = REJECTIONS + LATE_ERRORS + CONNECTION_FAULTS + BODY_FAULTS + ANSWER_FAULTS + VERDICT_FAULTS

SEEN_BODIES = 1_000_000

# Key: whether the answer is Chinese.
REFUSALS = ("I'm sorry, but I can't help with identifying people.", "对不起，我无法识别图中的人物。")
NO_TAG = ("The person", "这个人")

# A verdict alone, or in the object of a JSON schema.
VERDICT = re.compile(r'(?:\A|(?<="))(?:yes|no|是|否)(?=\Z|"\s*\}\s*\Z)')
OPPOSITE = {"yes": "no", "no": "yes", "是": "否", "否": "是"}

# Bytes that a cut body announces but does not send.
MISSING_BYTES = 64


def draw_fault(rates: Mapping[str, float], seed: int, digest: bytes, times: int) -> str | None:
    """A function of its arguments; None for no fault. ``times``: number of equal bodies before."""
    key = b"%d:%d:" % (seed, times) + digest
    point = int.from_bytes(blake2b(key, digest_size=8).digest(), "big") / 2**64
    for kind, rate in rates.items():
        if point < rate:
            return kind
        point -= rate
    return None


class FaultSchedule:
    """Chooses the fault of each request, first by script, then by rate. A retry may get another fault."""

    def __init__(self, rates: Mapping[str, float], seed: int = 0, script: Sequence[str] = ()) -> None:
        self.rates = {kind: rate for kind, rate in rates.items() if rate > 0}
        self.seed = seed
        self.script = list(reversed(script))
        self.times_seen: LRUCache[bytes, int] = LRUCache(SEEN_BODIES)

    def next_fault(self, body: bytes) -> str | None:
        if self.script:
            kind = self.script.pop()
            return None if kind == "ok" else kind
        if not self.rates:
            return None
        digest = blake2b(body, digest_size=8).digest()
        times = self.times_seen.get(digest, 0)
        self.times_seen[digest] = times + 1
        return draw_fault(self.rates, self.seed, digest, times)


@dataclass(frozen=True, slots=True)
class Choice:
    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


def spoil_choice(kind: str, choice: Choice, tag: str | None) -> Choice:
    text = choice.text or ""
    chinese = contains_chinese(text)
    if kind in ("length", "content_filter"):
        return replace(choice, text=text[: len(text) // 2], finish_reason=kind)
    if kind == "refusal":
        return replace(choice, text=REFUSALS[chinese])
    if kind == "refusal_field":
        return replace(choice, text=None, refusal=REFUSALS[chinese])
    return replace(choice, text=spoil_text(kind, text, tag or ""))


def spoil_text(kind: str, text: str, tag: str) -> str:
    """Changes the tag or the surroundings of a text, or a verdict. Tag faults ignore texts without a tag."""
    if kind == "empty":
        return ""
    if kind == "wrong_verdict":
        return VERDICT.sub(lambda found: OPPOSITE[found[0]], text)
    if kind == "think":
        return f"<think>\nThe question is about {tag or 'the picture'}, so I look at it first.\n</think>\n\n{text}"
    if kind == "fenced":
        return f"```\n{text}\n```"
    if not tag:
        return text
    if kind == "only_tag":
        return tag
    replacements = {
        "no_tag": NO_TAG[contains_chinese(text)],
        "bare_tag": tag.strip("<>"),
        "html_tag": escape_html(tag),
        "bold_tag": f"**{tag}**",
        "upper_tag": tag.upper(),
    }
    return text.replace(tag, replacements.get(kind, tag))


def spoil_body(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    if kind == "no_choices":
        return {**body, "choices": []}
    if kind == "null_content":
        choice = body["choices"][0]
        return {**body, "choices": [{**choice, "message": {**choice["message"], "content": None}}]}
    return {"error": {"message": "The upstream model returned an error.", "type": "server_error", "code": 500}}


class Disconnected(web.Response):
    """Response for a closed connection."""


async def stall() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("the event is never set")


async def send_broken(kind: str, request: web.Request, body: bytes) -> web.StreamResponse:
    if kind == "reset":
        return reset_connection(request)
    if kind == "cut_body":
        return await send_cut_body(request, body)
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


def reset_connection(request: web.Request) -> Disconnected:
    """Disables lingering, so that the kernel sends RST instead of FIN."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return Disconnected()


async def send_cut_body(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body) + MISSING_BYTES
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
