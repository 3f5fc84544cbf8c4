"""Parses responses with status 200, whole or streamed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from persqa_client.client.classify import AttemptContext, classify_error_in_200, quote_server_message
from persqa_client.client.dialect import join_prefill, unwrap_json_answer
from persqa_client.client.error_body import MARKUP, read_error_body
from persqa_client.types import Completion, ErrorDecision, Json, RetryAction, Usage

EVENT_STREAM = "text/event-stream"
EVENT_PREFIX = b"data:"
LAST_EVENT = b"[DONE]"

# Depends on the server and its version. OpenRouter sends a list of parts in ``reasoning_details``.
REASONING_FIELDS = ("reasoning", "reasoning_content", "reasoning_details", "thinking")

# OpenAI's finish reasons, and what other servers call them (``FinishReason.MAX_TOKENS`` is ``max_tokens``).
FINISH_REASONS = {
    "stop": "stop stopped eos eos_token eos_found eot end end_turn endturn end_of_turn end_of_sequence stop_sequence "
    "stop_str stop_token complete completed done finish finished natural",
    "length": "length max_length max_tokens max_new_tokens max_output_tokens token_limit model_length "
    "model_context_window_exceeded context_length_exceeded",
    "content_filter": "content_filter content_filtered safety image_safety sensitive recitation blocklist spii "
    "prohibited_content guardrail_intervened moderation",
    # The server broke the answer off.
    "aborted": "error abort aborted cancelled canceled network_error timeout interrupted failed failure server_error "
    "internal_error insufficient_system_resource engine_overloaded malformed_response",
}
FINISH_REASON_OF = {spelling: reason for reason, spellings in FINISH_REASONS.items() for spelling in spellings.split()}

# The model waits for the result of a tool, so its text is not the answer.
TOOL_REASONS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})

SENTENCE_END = re.compile(r"[.!?。！？…।؟][\"'”’」』》)）\]*_`]*\s*$")


def is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").strip().lower().startswith(EVENT_STREAM)


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
    thoughts = "".join(_join_thoughts(delta) for delta in deltas)
    # vLLM begins each stream with empty content, but whole responses with only reasoning have none.
    message: Json = {"content": None if thoughts and not text else text}
    message |= {"refusal": _join_texts(delta.get("refusal") for delta in deltas), "reasoning": thoughts}
    reasons = [reason for choice in choices if (reason := choice.get("finish_reason"))]
    errors = [error for choice in choices if (error := choice.get("error"))]
    choice = {"message": message, "finish_reason": reasons[-1] if reasons else None}
    return fields | {"choices": [choice | ({"error": errors[0]} if errors else {})]}


def _join_texts(parts: Iterable[Any]) -> str | None:
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def _as_object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _join_thoughts(message: Json) -> str:
    """The first field with reasoning: servers send the same text under two names."""
    for name in REASONING_FIELDS:
        value = message.get(name)
        text = value if isinstance(value, str) else _join_parts(value) if isinstance(value, list) else ""
        if text:
            return text
    return ""


def read_completion(
    body: bytes, context: AttemptContext, *, streamed: bool = False, now: float = 0.0
) -> Completion | ErrorDecision:
    """Parses the body of a response with status 200. ``now`` is Unix time."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        if MARKUP.match(body[:200].decode("utf-8", "replace").lstrip("\ufeff")):
            return _refuse(body, context, "not_an_api", "with a page, not with JSON: check --base-url")
        return _refuse(body, context, "invalid_json", "200 with a body that is not JSON")
    if not isinstance(data, dict):
        return _refuse(body, context, "invalid_json", "200 with JSON that is not an object")
    choices = data.get("choices")
    choice = _as_object(choices[0]) if isinstance(choices, list) and choices else {}
    error = data.get("error") or choice.get("error")
    if error or (not choice and (data.get("object") == "error" or _names_an_error(data))):
        inner = orjson.dumps({"error": error}) if error and not data.get("error") else body
        decision = classify_error_in_200(inner, context, streamed=streamed, now=now)
        usage, _ = _read_usage(_as_object(data.get("usage")), "", "")
        return replace(decision, usage=usage) if usage != Usage() else decision
    if not choice:
        return _refuse(body, context, "no_choices", "without any choice")
    return _read_choice(choice, data, body, context)


def _names_an_error(data: Json) -> bool:
    code = data.get("code", data.get("status_code"))
    return (isinstance(code, int) and 400 <= code < 600) or "detail" in data


def _read_choice(choice: Json, data: Json, body: bytes, context: AttemptContext) -> Completion | ErrorDecision:
    message = _as_object(choice.get("message"))
    content, refusal = message.get("content"), _text_or_none(message.get("refusal")) or None
    # The text of a message is a string or a list of parts.
    content = _join_parts(content) if isinstance(content, list) else _text_or_none(content)
    sent_reason = _text_or_none(choice.get("finish_reason"))
    finish_reason = read_finish_reason(sent_reason, content or "")
    thoughts = _join_thoughts(message)
    usage, reasoning_tokens = _read_usage(_as_object(data.get("usage")), content or "", thoughts)
    if finish_reason == "aborted":
        problem = f"with an answer that it broke off (finish_reason {sent_reason})"
        return _refuse(b"", context, "aborted", problem, usage)
    if not content and refusal is None and finish_reason not in {"content_filter", "length"}:
        if thoughts:
            return _refuse(b"", context, "only_reasoning", "with reasoning, but without a text", usage)
        if content is None:
            return _refuse(body, context, "no_content", "without a text (content is null)", usage)
    return Completion(
        text=content or "",
        finish_reason=finish_reason,
        usage=usage,
        model=_text_or_none(data.get("model")),
        refusal=refusal,
        sent_finish_reason=sent_reason if sent_reason and sent_reason != finish_reason else None,
        reasoning_tokens=reasoning_tokens,
    )


def read_finish_reason(sent: str | None, text: str) -> str | None:
    """The finish reason in OpenAI's words, or ``aborted``. A whole sentence needs no known reason.

    >>> read_finish_reason("FinishReason.MAX_TOKENS", "<mam> wears"), read_finish_reason("", "<mam> wears a hat.")
    ('length', 'stop')
    """
    if sent == "stop":  # almost always
        return sent
    spelling = re.sub(r"[^a-z]+", "_", (sent or "").rpartition(".")[2].lower()).strip("_")
    if (known := FINISH_REASON_OF.get(spelling)) is not None:
        return known
    is_whole = spelling not in TOOL_REASONS and SENTENCE_END.search(unwrap_json_answer(text)) is not None
    return "stop" if is_whole else sent or None


def _read_usage(counts: Json, text: str, thoughts: str) -> tuple[Usage, int]:
    """The tokens, and how many of the completion's are not in its text."""
    prompt, completion, total = (
        n if isinstance(n := counts.get(f"{kind}_tokens"), int) and n >= 0 else 0
        for kind in ("prompt", "completion", "total")
    )
    details = _as_object(counts.get("completion_tokens_details"))
    reasoning = details.get("reasoning_tokens", counts.get("reasoning_tokens"))
    if not isinstance(reasoning, int) or reasoning < 0:
        reasoning = 0
    # Google counts thoughts in the total alone.
    reasoning = max(reasoning, total - prompt - completion if prompt else 0)
    if not text:
        reasoning = max(reasoning, completion, 1 if thoughts else 0)
    elif thoughts and not reasoning:
        reasoning = max(1, completion * len(thoughts) // (len(thoughts) + len(text)))
    return Usage(prompt, completion), reasoning


def _refuse(body: bytes, context: AttemptContext, code: str, problem: str, usage: Usage | None = None) -> ErrorDecision:
    said = read_error_body(body, context.redactor).said if body else ""
    message = f"The server answered {problem}{quote_server_message(said)}."
    return ErrorDecision(RetryAction.RETRY, code, message, status=200, raw=said, usage=usage)


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
