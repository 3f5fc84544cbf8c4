"""An answer that came piece by piece, put together as if it had come whole. Pure.

A stream's status line comes as soon as a server has read the pictures, a whole answer's only with its last token: what
waits for a picture to arrive need not wait so long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from persqa_client.types import Json

MEDIA_TYPE = "text/event-stream"
EVENT = b"data:"
END = b"[DONE]"

FIELDS: Json = {"stream": True, "stream_options": {"include_usage": True}}
"""By which an answer is asked for piece by piece, with its usage."""

TEXTS = ("content", "refusal")
"""What a message has bit by bit; its other parts are nobody's concern here."""


def is_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith(MEDIA_TYPE)


def assembled(body: bytes) -> bytes:
    """The body that the same answer would have had whole, or that of the error which ended it.

    Empty where the stream broke off, for what came may be less than the answer; as it was where it can't be read.
    """
    events = [line.removeprefix(EVENT).strip() for line in body.splitlines() if line.startswith(EVENT)]
    try:
        pieces = [piece for event in events if event != END and isinstance(piece := orjson.loads(event), dict)]
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
    choices = [piece["choices"][0] for piece in pieces if piece.get("choices")]
    if not choices:
        return said | {"choices": []}
    deltas = [choice.get("delta") or {} for choice in choices]
    message = {name: joined([delta.get(name) for delta in deltas]) for name in TEXTS}
    reasons = [reason for choice in choices if (reason := choice.get("finish_reason"))]
    return said | {"choices": [{"message": message, "finish_reason": reasons[-1] if reasons else None}]}


def joined(parts: list[Any]) -> str | None:
    """The text in the parts; None where there is none in any, as a whole message has it."""
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def error_status(body: bytes) -> int | None:
    """The status that an error would have been sent with, had the answer not begun: vLLM's code of an error is one."""
    error = orjson.loads(body).get("error") if body.startswith(b'{"error"') else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None
