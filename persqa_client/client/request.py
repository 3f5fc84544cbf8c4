"""From a request to its body: JSON, pictures and JSON, never parsed again. Pure."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice

import orjson
import pybase64

from persqa_client.client.dialect import STREAM_FIELDS, Dialect
from persqa_client.config import Sampling
from persqa_client.types import EncodedImage, Json, Request, Turn

# A request's body in parts, put together while it is sent: a picture becomes base64 piece by piece. Pure.
#
# What a request holds while it is under way is thus the picture and no copy of it, and no piece is so large that the
# allocator fetches fresh pages from the system for it: that costs more than the base64 itself.

PIECE = 90 * 1024
"""Bytes of a picture that become base64 at a time, a multiple of three: 120 KB of it. Fewer make more system calls;
128 KB and more are what glibc fetches fresh pages for (M_MMAP_THRESHOLD), at three times the cost in the kernel."""


@dataclass(frozen=True, slots=True)
class Body:
    """JSON as it is, with pictures in between. May be gone through as often as it is sent."""

    parts: tuple[bytes | EncodedImage, ...]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else base64_length(len(part.data)) for part in self.parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece

    def pieces(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            view = memoryview(part.data)
            for start in range(0, len(view), PIECE):
                yield pybase64.b64encode(view[start : start + PIECE])


def base64_length(count: int) -> int:
    return (count + 2) // 3 * 4


SLOT = f"picture-{secrets.token_hex(8)}-goes-here"
"""Stands in the JSON where a picture's base64 goes; random, so that no row's text can hold it."""
SLOT_BYTES = SLOT.encode()


def payload(request: Request, *, model: str, sampling: Sampling, dialect: Dialect) -> Json:
    """The body as a dict, with SLOT in place of each picture's base64.

    System text, pictures, question: in this order a server can share the first two between questions. Where the
    answer's beginning is given, nothing else holds it: a pattern would be that of a whole answer.
    """
    fields: Json = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": request.max_tokens or sampling.max_tokens,
        "seed": request.seed,
        **sampling.extra_body,
        **steering(request, dialect),
        **(STREAM_FIELDS if request.stream else {}),
    }
    named = {name: value for field, value in fields.items() if (name := dialect.field_name(field)) is not None}
    return {"model": model, "messages": messages(request, dialect)} | named


def steering(request: Request, dialect: Dialect) -> Json:
    """The fields that bring the tag to the answer's beginning."""
    if request.prefill and dialect.active_prefill is not None:
        vllm = dialect.active_prefill == "continue_final_message"
        return {"continue_final_message": True, "add_generation_prompt": False} if vllm else {}
    return dialect.constrain(request.pattern) if request.pattern else {}


def messages(request: Request, dialect: Dialect) -> list[Json]:
    parts = iter([part(picture, request, dialect) for picture in request.pictures])
    first = len(request.pictures) - sum(turn.pictures for turn in request.turns)
    turns = [Turn("user", request.prompt, first), *request.turns]
    return [
        *([{"role": "system", "content": request.system}] if request.system else []),
        *({"role": turn.role, "content": content(turn, list(islice(parts, turn.pictures)))} for turn in turns),
        *beginning(request, dialect),
    ]


def content(turn: Turn, pictures: list[Json]) -> str | list[Json]:
    return [*pictures, {"type": "text", "text": turn.text}] if pictures else turn.text


def part(picture: EncodedImage, request: Request, dialect: Dialect) -> Json:
    name = {"uuid": picture.uuid} if dialect.sends_uuids and picture.uuid is not None else {}
    if goes_by_name(picture, request, dialect):
        return {"type": "image_url", "image_url": None, **name}
    return {"type": "image_url", "image_url": {"url": f"data:{picture.media_type};base64,{SLOT}"}, **name}


def goes_by_name(picture: EncodedImage, request: Request, dialect: Dialect) -> bool:
    """Whether the server has the picture, and knows it by its uuid."""
    return dialect.sends_uuids and picture.uuid in request.known_uuids


def carried(request: Request, dialect: Dialect) -> list[EncodedImage]:
    """The pictures whose bytes are in the body."""
    return [picture for picture in request.pictures if not goes_by_name(picture, request, dialect)]


def beginning(request: Request, dialect: Dialect) -> list[Json]:
    """The last message: the answer's beginning, where the server goes on from one."""
    if not request.prefill or dialect.active_prefill is None:
        return []
    mark = {"partial": True} if dialect.active_prefill == "partial" else {}
    return [{"role": "assistant", "content": request.prefill, **mark}]


def render_body(request: Request, *, model: str, sampling: Sampling, dialect: Dialect) -> Body:
    """The body as it will be sent."""
    text = orjson.dumps(payload(request, model=model, sampling=sampling, dialect=dialect))
    pieces = text.split(SLOT_BYTES)
    parts: list[bytes | EncodedImage] = [pieces[0]]
    for picture, piece in zip(carried(request, dialect), pieces[1:], strict=True):
        parts += (picture, piece)
    return Body(tuple(parts))


def render_preview(request: Request, *, model: str, sampling: Sampling, dialect: Dialect) -> str:
    """The body for a person's eyes: indented, each picture as its first characters and its size."""
    text = orjson.dumps(
        payload(request, model=model, sampling=sampling, dialect=dialect), option=orjson.OPT_INDENT_2
    ).decode()
    for picture in carried(request, dialect):
        text = text.replace(SLOT, abridge(picture), 1)
    return text


def abridge(picture: EncodedImage) -> str:
    start = pybase64.b64encode(picture.data[:12]).decode()
    return f"{start}… ({picture.width}x{picture.height}, {len(picture.data):,} bytes)"
