"""An answer that came piece by piece, put together as if it had come whole. Pure.

A stream's status line comes as soon as a server has read the pictures, a whole answer's only with its last token: what
waits for a picture to arrive need not wait so long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from persqa_client.types import Json

MEDIA_TYPE = "text/event-stream"
EVENT = b"data:"
END = b"[DONE]"

THOUGHTS = ("reasoning", "reasoning_content")
"""What a model thinks goes by one of these names, by vLLM's version."""


def is_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith(MEDIA_TYPE)


def assembled(body: bytes) -> bytes:
    """The body that the same answer would have had whole, or that of the error which ended it.

    Empty where the stream broke off, for what came may be less than the answer; as it was where it can't be read.
    """
    events = [line.removeprefix(EVENT).strip() for line in body.splitlines() if line.startswith(EVENT)]
    try:
        pieces = [decode(event) for event in events if event not in (b"", END)]
    except orjson.JSONDecodeError:
        return body
    if (error := next((piece for piece in pieces if piece.get("error")), None)) is not None:
        return orjson.dumps(error)
    answer = put_together(pieces)
    ended = events[-1:] == [END] or any(choice["finish_reason"] for choice in answer["choices"])
    return orjson.dumps(answer) if ended else b""


def put_together(pieces: list[Json]) -> Json:
    """The pieces of a first choice as one; what a piece says of the whole answer, the last of them says."""
    said = {name: value for piece in pieces for name, value in piece.items() if value is not None}
    choices = [fields(listed[0]) for piece in pieces if isinstance(listed := piece.get("choices"), list) and listed]
    if not choices:
        return said | {"choices": []}
    deltas = [fields(choice.get("delta")) for choice in choices]
    message = {"content": content(deltas), "refusal": joined(delta.get("refusal") for delta in deltas)}
    reasons = [reason for choice in choices if (reason := choice.get("finish_reason"))]
    return said | {"choices": [{"message": message, "finish_reason": reasons[-1] if reasons else None}]}


def content(deltas: list[Json]) -> str | None:
    """The text of the message. vLLM begins each with an empty piece, but has none in a whole one of thoughts alone."""
    text = joined(delta.get("content") for delta in deltas)
    return text or (None if any(delta.get(name) for name in THOUGHTS for delta in deltas) else text)


def joined(parts: Iterable[Any]) -> str | None:
    """The text in the parts; None where there is none in any."""
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def decode(event: bytes) -> Json:
    """Raises orjson.JSONDecodeError."""
    return fields(orjson.loads(event))


def fields(value: Any) -> Json:
    """An object of JSON; whatever else stands in its place says nothing."""
    return value if isinstance(value, dict) else {}
