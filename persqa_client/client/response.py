"""What a server's 200 says: a completion, or why it is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from persqa_client.client.classify import quote_server_message, read_error_message
from persqa_client.client.dialect import attach, unwrap
from persqa_client.errors import AttemptError
from persqa_client.types import Completion, ErrorDecision, Json, RetryAction, Usage

# An answer that came piece by piece, put together as if it had come whole. Pure.
#
# A stream's status line comes as soon as a server has read the pictures, a whole answer's only with its last token:
# what
# waits for a picture to arrive need not wait so long.

MEDIA_TYPE = "text/event-stream"
EVENT = b"data:"
END = b"[DONE]"

THOUGHTS = ("reasoning", "reasoning_content")
"""What a model thinks goes by one of these names, by vLLM's version."""


def is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith(MEDIA_TYPE)


def assemble_stream(body: bytes) -> bytes:
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


def read_completion(body: bytes, key: str = "") -> Completion:
    """Reads the body of a 200. Raises AttemptError, to be tried again, where no completion is in it.

    ``key`` is kept out of what the error says.
    """
    found = _read(body)
    if isinstance(found, Completion):
        return found
    words = read_error_message(body, key)
    message = f"The server answered {found.what}{quote_server_message(words)}."
    raise AttemptError(ErrorDecision(RetryAction.RETRY, found.code, message, status=200, raw=words))


class NoCompletion(NamedTuple):
    """What a 200 has in place of a completion. Not raised: a decoder's exception behind it would hold the body."""

    code: str
    what: str


def _read(body: bytes) -> Completion | NoCompletion:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return NoCompletion("invalid_json", "200 with something that is not JSON")
    if not isinstance(data, dict):
        return NoCompletion("invalid_json", "200 with JSON that is not an object")
    if data.get("error"):
        return NoCompletion("error_in_200", "200 with an error inside")
    choice = first_choice(data)
    if choice is None:
        return NoCompletion("no_choices", "without any choice")
    message, finish_reason = choice
    content, refusal = read_content(message.get("content")), text_or_none(message.get("refusal")) or None
    if content is None and refusal is None and finish_reason not in {"content_filter", "length"}:
        return NoCompletion("no_content", "without a text (content is null)")
    return Completion(
        text=content or "",
        finish_reason=finish_reason,
        usage=read_usage(data.get("usage")),
        model=text_or_none(data.get("model")),
        refusal=refusal,
    )


def first_choice(data: dict[str, Any]) -> tuple[dict[str, Any], str | None] | None:
    """The first choice's message and why it ended; None where there is no choice."""
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    message = choices[0].get("message")
    return (message if isinstance(message, dict) else {}), text_or_none(choices[0].get("finish_reason"))


def read_content(content: object) -> str | None:
    """The text of a message: a string, or parts of which the texts are joined."""
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return text_or_none(content)


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def read_usage(usage: object) -> Usage:
    """The tokens that the server counted; zero where it says nothing."""
    counts = usage if isinstance(usage, dict) else {}
    return Usage(*(n if isinstance(n := counts.get(key), int) else 0 for key in ("prompt_tokens", "completion_tokens")))


def restore_answer(completion: Completion, *, wrapped: bool, prefix: str | None) -> Completion:
    """The completion with the whole answer for its text: out of its JSON, its given beginning put back."""
    if completion.refusal is not None or not (wrapped or prefix):
        return completion
    text = unwrap(completion.text) if wrapped else completion.text
    return replace(completion, text=attach(prefix, text) if prefix else text)
