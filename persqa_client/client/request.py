"""Bodies of chat requests: JSON, with images inserted during sending."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice

import httpx2
import orjson
import pybase64

from persqa_client.client.dialect import (
    RENAMED_FIELDS,
    STREAM_FIELDS,
    Dialect,
    constraint_fields,
    prefill_fields,
    prefill_message,
)
from persqa_client.config import Sampling
from persqa_client.images.loader import base64_size
from persqa_client.types import EncodedImage, Json, Request, Turn

# Bytes encoded to base64 at a time: a multiple of three, 120 KB encoded. Smaller pieces need more system calls; from
# 128 KB on, glibc maps fresh pages each time (M_MMAP_THRESHOLD), which triples the kernel time.
PIECE_SIZE = 90 * 1024

# Placeholder for base64 in the JSON; random, so that no row can contain it.
PLACEHOLDER = f"picture-{secrets.token_hex(8)}-goes-here"


class Body(httpx2.AsyncByteStream):
    def __init__(self, parts: Sequence[bytes | EncodedImage]) -> None:
        self._parts = parts
        self._length = sum([len(part) if isinstance(part, bytes) else base64_size(part) for part in parts])

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
                continue
            view = memoryview(part.data)
            for start in range(0, len(view), PIECE_SIZE):
                yield pybase64.b64encode(view[start : start + PIECE_SIZE])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece


def render_body(request: Request, *, model: str, sampling: Sampling, dialect: Dialect) -> Body:
    text = orjson.dumps(build_payload(request, model=model, sampling=sampling, dialect=dialect))
    pieces = text.split(PLACEHOLDER.encode())
    parts: list[bytes | EncodedImage] = [pieces[0]]
    for image, piece in zip(embedded_images(request), pieces[1:], strict=True):
        parts += (image, piece)
    return Body(parts)


def render_preview(request: Request, *, model: str, sampling: Sampling, dialect: Dialect) -> str:
    payload = build_payload(request, model=model, sampling=sampling, dialect=dialect)
    text = orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode()
    for image in embedded_images(request):
        start = pybase64.b64encode(image.data[:12]).decode()
        text = text.replace(PLACEHOLDER, f"{start}… ({image.width}x{image.height}, {len(image.data):,} bytes)", 1)
    return text


def build_payload(request: Request, *, model: str, sampling: Sampling, dialect: Dialect) -> Json:
    """The body as a dict, with PLACEHOLDER instead of base64.

    System text and images come first, as a common prefix of all questions about the images.
    """
    fields: Json = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": request.max_tokens or sampling.max_tokens,
        "seed": request.seed,
        **sampling.extra_body,
        **build_output_fields(request, dialect),
        **(STREAM_FIELDS if request.stream else {}),
    }
    named = {
        RENAMED_FIELDS[field] if field in dialect.renamed else field: value
        for field, value in fields.items()
        if field not in dialect.dropped
    }
    return {"model": model, "messages": build_messages(request, dialect)} | named


def build_output_fields(request: Request, dialect: Dialect) -> Json:
    """Fields for a prefill or a pattern. Not both, because the pattern is for the whole answer."""
    if request.prefill and dialect.active_prefill is not None:
        return prefill_fields(dialect.active_prefill)
    if request.pattern and dialect.active_constraint is not None:
        return constraint_fields(dialect.active_constraint, request.pattern)
    return {}


def build_messages(request: Request, dialect: Dialect) -> list[Json]:
    image_parts: list[Json] = []
    for image in request.pictures:
        is_known = image.uuid in request.known_uuids
        url = None if is_known else {"url": f"data:{image.media_type};base64,{PLACEHOLDER}"}
        uuid = {"uuid": image.uuid} if dialect.sends_uuids and image.uuid is not None else {}
        image_parts.append({"type": "image_url", "image_url": url, **uuid})
    remaining_parts = iter(image_parts)
    first = len(request.pictures) - sum(turn.pictures for turn in request.turns)
    messages: list[Json] = [{"role": "system", "content": request.system}] if request.system else []
    for turn in (Turn("user", request.prompt, first), *request.turns):
        images = list(islice(remaining_parts, turn.pictures))
        content = [*images, {"type": "text", "text": turn.text}] if images else turn.text
        messages.append({"role": turn.role, "content": content})
    if request.prefill and dialect.active_prefill is not None:
        messages.append(prefill_message(dialect.active_prefill, request.prefill))
    return messages


def embedded_images(request: Request) -> list[EncodedImage]:
    return [image for image in request.pictures if image.uuid not in request.known_uuids]
