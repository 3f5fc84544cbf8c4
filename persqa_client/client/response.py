"""Parses responses with status 200, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from persqa_client.client.classify import quote_server_message, read_error_message
from persqa_client.client.dialect import join_prefill, unwrap_json_answer
from persqa_client.errors import AttemptError
from persqa_client.types import Completion, ErrorDecision, Json, RetryAction, Usage

EVENT_STREAM = "text/event-stream"
EVENT_PREFIX = b"data:"
LAST_EVENT = b"[DONE]"

REASONING_FIELDS = ("reasoning", "reasoning_content")  # depends on the version of vLLM


def is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith(EVENT_STREAM)


def assemble_stream(body: bytes) -> bytes:
    """Converts a stream to the body of an unstreamed response, or of the error in the stream.

    Empty if the stream is incomplete; unchanged if it cannot be decoded.
    """
    events = [line.removeprefix(EVENT_PREFIX).strip() for line in body.splitlines() if line.startswith(EVENT_PREFIX)]
    try:
        chunks = [_as_object(orjson.loads(event)) for event in events if event not in (b"", LAST_EVENT)]
    except orjson.JSONDecodeError:
        return body
    if (error := next((chunk for chunk in chunks if chunk.get("error")), None)) is not None:
        return orjson.dumps(error)
    answer = _merge_chunks(chunks)
    is_complete = events[-1:] == [LAST_EVENT] or any(choice["finish_reason"] for choice in answer["choices"])
    return orjson.dumps(answer) if is_complete else b""


def _merge_chunks(chunks: list[Json]) -> Json:
    fields = {name: value for chunk in chunks for name, value in chunk.items() if value is not None}
    choices = [_as_object(listed[0]) for chunk in chunks if isinstance(listed := chunk.get("choices"), list) and listed]
    if not choices:
        return fields | {"choices": []}
    deltas = [_as_object(choice.get("delta")) for choice in choices]
    text = _join_texts(delta.get("content") for delta in deltas)
    if not text and any(delta.get(name) for name in REASONING_FIELDS for delta in deltas):
        # vLLM begins each stream with empty content, but whole responses with only reasoning have none.
        text = None
    message = {"content": text, "refusal": _join_texts(delta.get("refusal") for delta in deltas)}
    reasons = [reason for choice in choices if (reason := choice.get("finish_reason"))]
    return fields | {"choices": [{"message": message, "finish_reason": reasons[-1] if reasons else None}]}


def _join_texts(parts: Iterable[Any]) -> str | None:
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def _as_object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def read_completion(body: bytes, key: str = "") -> Completion:
    """Parses the body of a response with status 200.

    Raises AttemptError (RETRY) without a completion; removes ``key`` from the message.
    """
    found = _read(body)
    if isinstance(found, Completion):
        return found
    said = read_error_message(body, key)
    message = f"The server answered {found.problem}{quote_server_message(said)}."
    raise AttemptError(ErrorDecision(RetryAction.RETRY, found.code, message, status=200, raw=said))


class NoCompletion(NamedTuple):
    """Why a body has no completion. A value, because an exception's context would keep the body in memory."""

    code: str
    problem: str


def _read(body: bytes) -> Completion | NoCompletion:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return NoCompletion("invalid_json", "200 with a body that is not JSON")
    if not isinstance(data, dict):
        return NoCompletion("invalid_json", "200 with JSON that is not an object")
    if data.get("error"):
        return NoCompletion("error_in_200", "200 with an error in the body")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return NoCompletion("no_choices", "without any choice")
    message, finish_reason = _as_object(choices[0].get("message")), _text_or_none(choices[0].get("finish_reason"))
    content, refusal = message.get("content"), _text_or_none(message.get("refusal")) or None
    # The text of a message is a string or a list of parts.
    content = _join_parts(content) if isinstance(content, list) else _text_or_none(content)
    if content is None and refusal is None and finish_reason not in {"content_filter", "length"}:
        return NoCompletion("no_content", "without a text (content is null)")
    counts = _as_object(data.get("usage"))
    tokens = (n if isinstance(n := counts.get(key), int) else 0 for key in ("prompt_tokens", "completion_tokens"))
    return Completion(
        text=content or "",
        finish_reason=finish_reason,
        usage=Usage(*tokens),
        model=_text_or_none(data.get("model")),
        refusal=refusal,
    )


def _join_parts(parts: list[Any]) -> str:
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def restore_answer(completion: Completion, *, wrapped: bool, prefix: str | None) -> Completion:
    """The completion with the whole answer as its text: taken out of its JSON, or joined with its prefill."""
    if completion.refusal is not None:
        return completion
    text = unwrap_json_answer(completion.text) if wrapped else completion.text
    return replace(completion, text=join_prefill(prefix, text) if prefix else text)
