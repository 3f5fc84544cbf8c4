"""Parses responses with status 200, whole or as server-sent events."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

from persqa_client.client.classify import classify_error_in_200
from persqa_client.client.dialect import join_prefill, unwrap_json_answer
from persqa_client.client.error_body import MARKUP, read_error_body
from persqa_client.client.event_stream import (
    ERROR_EVENT,
    LAST_EVENT,
    MIN_REPEATED,
    are_json_lines,
    begins_with_field,
    join_pieces,
    parse_events,
    remove_last_event,
)
from persqa_client.client.failed_reply import AttemptContext, quote_server_message
from persqa_client.client.json_text import load_json
from persqa_client.client.transport_errors import classify_transport_error
from persqa_client.types import Completion, ErrorDecision, Json, RetryAction, Usage

SUCCESSES = frozenset({"0", "200", "ok", "success"})  # codes of an ``error`` that is not an error

# Depends on the server and its version. OpenRouter sends a list of parts in ``reasoning_details``.
REASONING_FIELDS = ("reasoning", "reasoning_content", "reasoning_details", "thinking")

THOUGHT_TYPES = frozenset({"reasoning", "reasoning_text", "thinking", "redacted_thinking", "thought"})

# OpenAI's finish reasons, and their names at other servers (``FinishReason.MAX_TOKENS`` is ``max_tokens``).
FINISH_REASONS = {
    "stop": "stop stopped eos eos_token eos_found eot end end_turn endturn end_of_turn end_of_sequence stop_sequence "
    "stop_str stop_token complete completed done finish finished natural",
    "length": "length max_length max_tokens max_new_tokens max_output_tokens token_limit model_length "
    "model_context_window_exceeded context_length_exceeded",
    "content_filter": "content_filter content_filtered safety image_safety sensitive recitation blocklist spii "
    "prohibited_content guardrail_intervened moderation",
    # The server aborted the answer.
    "aborted": "error abort aborted cancelled canceled network_error timeout interrupted failed failure server_error "
    "internal_error insufficient_system_resource engine_overloaded malformed_response",
}
FINISH_REASON_OF = {spelling: reason for reason, spellings in FINISH_REASONS.items() for spelling in spellings.split()}

# The model waits for the result of a tool, so its text is not the answer.
TOOL_REASONS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})

BARE_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")
SENTENCE_END = re.compile(r"[.!?。！？…।؟][\"'”’」』》)）\]*_`]*\s*$")


def read_stream(body: bytes, context: AttemptContext, *, now: float = 0.0) -> Completion | ErrorDecision:
    """Parses the body of a streamed response with status 200. ``now`` is Unix time."""
    assembled = assemble_stream(body)
    if assembled is None:
        return classify_transport_error("reset", "the stream ended too early", context)
    return read_completion(assembled, context, streamed=True, now=now)


def assemble_stream(body: bytes) -> Json | bytes | None:
    """The body that an unstreamed response would have, or that of the error in the stream.

    None if the stream is incomplete. The received bytes if the body is not a stream or cannot be decoded.
    """
    if BARE_JSON.match(body) and load_json(whole := remove_last_event(body)) is not None:
        return whole
    if MARKUP.match(_beginning(body)):
        return body
    events = list(parse_events(body))
    if not events:
        return None if not body.strip() or begins_with_field(body) else body
    chunks = list[Json]()
    is_done = False
    has_text = False  # a sign of life, such as "ping", or an error without a form
    for event in events:
        if event.data == LAST_EVENT:
            is_done = is_done or any(piece.get("finish_reason") for piece in _find_choices(chunks))
            continue
        chunk = load_json(event.data)
        if chunk is None and event.data != b"null" and event.name != ERROR_EVENT:
            if event.is_ended and not (b"{" in event.data or b"}" in event.data):
                if len(event.data.split()) > 1 and _is_unfinished(_merge_chunks(chunks)):
                    return body  # more than a sign of life: a part of the answer may be missing
                has_text = True
                continue
            if event.is_ended or not chunks:
                return body
            break  # the connection was lost within it
        chunk = _as_object(chunk)
        if event.name == ERROR_EVENT or _is_error(chunk):
            return chunk if chunk.get("error") else {"error": chunk or event.data.decode("utf-8", "replace")}
        chunks.append(chunk | {"choices": []} if is_done else chunk)  # only the tokens may follow
    answer = _merge_chunks(chunks)
    if any(choice["finish_reason"] for choice in answer["choices"]):
        return answer
    if has_text:
        return body
    return answer if events[-1].data == LAST_EVENT else None


def _is_unfinished(answer: Json) -> bool:
    """Whether an answer has begun, but not ended."""
    return any(choice["message"]["content"] and not choice["finish_reason"] for choice in answer["choices"])


def _beginning(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace").lstrip("\ufeff")


def _merge_chunks(chunks: list[Json]) -> Json:
    fields = {name: value for chunk in chunks for name, value in chunk.items() if value is not None}
    choices = _find_choices(chunks)
    if not choices:
        return fields | {"choices": []}
    # Some servers send the pieces as ``message``, or the whole message at the end of its pieces.
    name = "delta" if any(_as_object(choice.get("delta")) for choice in choices) else "message"
    deltas = [_as_object(choice.get(name)) for choice in choices]
    # A whole message in each piece is more likely than pieces that begin alike.
    enough = 0 if name == "message" else MIN_REPEATED
    text = join_pieces([text for delta in deltas if (text := _text_of(delta.get("content"))) is not None], enough)
    thoughts = "".join(_join_thoughts(delta) for delta in deltas)
    refusals = [part for delta in deltas if (part := _text_or_none(delta.get("refusal"))) is not None]
    # vLLM begins each stream with empty content, but whole responses with only reasoning have none.
    message: Json = {"content": None if thoughts and not text else text}
    message |= {"refusal": join_pieces(refusals, enough), "reasoning": thoughts}
    reasons = [reason for choice in choices if (reason := choice.get("finish_reason"))]
    errors = [error for choice in choices if (error := choice.get("error"))]
    # A word that is in several pieces does not say that the answer has ended, unless it is a known one.
    is_said = len(reasons) == 1 or (reasons and is_known_reason(str(reasons[-1])))
    choice = {"message": message, "finish_reason": reasons[-1] if is_said else None}
    return fields | {"choices": [choice | ({"error": errors[0]} if errors else {})]}


def _find_choices(chunks: list[Json]) -> list[Json]:
    """The pieces of the first choice. With ``n`` in --extra-body, pieces of others are among them."""
    lists = [listed for chunk in chunks if isinstance(listed := chunk.get("choices"), list) and listed]
    pieces = [_as_object(piece) for listed in lists for piece in listed]
    first = min((index for piece in pieces if isinstance(index := piece.get("index"), int)), default=None)
    of_first = [piece for piece in pieces if piece.get("index", first) in (first, None)]
    is_one_of_several = first is not None and any(map(_has_text, of_first)) and _are_several(pieces, first)
    return of_first if is_one_of_several else [_as_object(listed[0]) for listed in lists]


def _are_several(pieces: list[Json], first: int) -> bool:
    """Whether pieces belong to several choices. Some servers count the pieces in ``index``."""
    said = [index for piece in pieces if isinstance(index := piece.get("index"), int) and _has_text(piece)]
    ended = {piece.get("index") for piece in pieces if is_known_reason(str(piece.get("finish_reason")))}
    is_repeated = any(count > 1 for index, count in Counter(said).items() if index != first)
    return len(ended) > 1 or is_repeated or said != sorted(said)


def _has_text(piece: Json) -> bool:
    return any(_text_of(_as_object(piece.get(name)).get("content")) for name in ("delta", "message"))


def _as_object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _join_thoughts(message: Json) -> str:
    """The first field with reasoning: servers send the same text under two names."""
    for name in REASONING_FIELDS:
        if not (value := message.get(name)):
            continue
        text = value if isinstance(value, str) else _join_parts(value) if isinstance(value, list) else ""
        if text:
            return text
    return ""


def read_completion(
    body: bytes | Json, context: AttemptContext, *, streamed: bool = False, now: float = 0.0
) -> Completion | ErrorDecision:
    """Parses the body of a response with status 200. ``now`` is Unix time."""
    data = load_json(body) if isinstance(body, bytes) else body
    if data is None and isinstance(body, bytes) and body.strip() != b"null":
        if MARKUP.match(_beginning(body)):
            return _refuse(body, context, "not_an_api", "with a page, not with JSON: check --base-url")
        if not streamed and are_json_lines(body):
            return read_stream(body, context, now=now)
        return _refuse(body, context, "invalid_json", "200 with a body that is not JSON")
    if not isinstance(data, dict):
        return _refuse(body, context, "invalid_json", "200 with JSON that is not an object")
    choices = data.get("choices")
    choice = _as_object(choices[0]) if isinstance(choices, list) and choices else {}
    if (error := _find_error(data, choice)) is not None:
        decision = classify_error_in_200(error, context, streamed=streamed, now=now)
        usage, _ = _read_usage(_as_object(data.get("usage")), "", "")
        return replace(decision, usage=usage) if usage != Usage() else decision
    if not choice:
        return _refuse(body, context, "no_choices", "without any choice")
    return _read_choice(choice, data, body, context)


def _find_error(data: Json, choice: Json) -> Json | None:
    """The error in a 200, in the form of the body of an error response."""
    for owner in (data, choice):
        error = owner.get("error")
        # Some servers send an empty error, or the code and message of a success, with each answer.
        if error and not (_is_success(error) and _is_usable(choice)):
            return owner if owner is data else {"error": error}
    if not choice and _is_error(data):
        return data
    return None


def _is_usable(choice: Json) -> bool:
    text = _text_of(_as_object(choice.get("message")).get("content"))
    return bool(text) and read_finish_reason(_text_or_none(choice.get("finish_reason")), "") != "aborted"


def _is_success(error: Any) -> bool:
    if not isinstance(error, dict):
        return isinstance(error, bool)
    message = error.get("message", error.get("msg"))
    return _names_success(error.get("code")) or not message or _names_success(message)


def _names_success(value: Any) -> bool:
    return str(value).strip().lower() in SUCCESSES if isinstance(value, str | int) else False


def _is_error(data: Json) -> bool:
    """Whether an object is an error, with or without a member of that name."""
    error, has_choices = data.get("error"), bool(data.get("choices"))
    if error or has_choices:
        return bool(error) and not (has_choices and _is_success(error))
    if data.get("object") == "error" or "detail" in data or _as_object(data.get("base_resp")).get("status_code"):
        return True
    code = data.get("code", data.get("status_code"))
    if isinstance(code, int) and 400 <= code < 600:
        return True
    has_words = any(isinstance(words := data.get(name), str) and words for name in ("message", "msg"))
    return bool(code) and has_words and not _names_success(code)


def _read_choice(choice: Json, data: Json, body: bytes | Json, context: AttemptContext) -> Completion | ErrorDecision:
    message = _as_object(choice.get("message"))
    if not message and choice.get("finish_reason"):
        message = _as_object(choice.get("delta"))  # a stream of a single piece
    content, refusal = message.get("content"), _text_or_none(message.get("refusal")) or None
    content = _text_of(content)
    sent_reason = _text_or_none(choice.get("finish_reason"))
    finish_reason = read_finish_reason(sent_reason, content or "")
    thoughts = _join_thoughts(message)
    usage, reasoning_tokens = _read_usage(_as_object(data.get("usage")), content or "", thoughts)
    if finish_reason == "aborted":
        problem = f"with an incomplete answer (finish_reason {sent_reason})"
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
    """OpenAI's name of the finish reason, or ``aborted``. An unknown reason after a whole sentence is ``stop``.

    >>> read_finish_reason("FinishReason.MAX_TOKENS", "<mam> wears"), read_finish_reason("", "<mam> wears a hat.")
    ('length', 'stop')
    """
    if sent == "stop":  # almost always
        return sent
    spelling = _normalise_reason(sent or "")
    if (known := FINISH_REASON_OF.get(spelling)) is not None:
        return known
    is_whole = spelling not in TOOL_REASONS and SENTENCE_END.search(unwrap_json_answer(text)) is not None
    return "stop" if is_whole else sent or None


def is_known_reason(sent: str) -> bool:
    """Whether a finish reason says that an answer has ended. Some servers send ``null``, or another word, before."""
    spelling = _normalise_reason(sent)
    return spelling in FINISH_REASON_OF or spelling in TOOL_REASONS


def _normalise_reason(sent: str) -> str:
    return re.sub(r"[^a-z]+", "_", sent.rpartition(".")[2].lower()).strip("_")


def _read_usage(counts: Json, text: str, thoughts: str) -> tuple[Usage, int]:
    """The tokens, and the number of completion tokens that are not in the text."""
    prompt, completion, total = [
        n if isinstance(n := counts.get(field), int) and n >= 0 else 0
        for field in ("prompt_tokens", "completion_tokens", "total_tokens")
    ]
    details = _as_object(counts.get("completion_tokens_details"))
    reasoning = details.get("reasoning_tokens", counts.get("reasoning_tokens"))
    if not isinstance(reasoning, int) or reasoning < 0:
        reasoning = 0
    # Google counts thoughts only in the total.
    reasoning = max(reasoning, total - prompt - completion if prompt else 0)
    if not text:
        reasoning = max(reasoning, completion, 1 if thoughts else 0)
    elif thoughts and not reasoning:
        reasoning = max(1, completion * len(thoughts) // (len(thoughts) + len(text)))
    return Usage(prompt, completion), reasoning


def _refuse(
    body: bytes | Json, context: AttemptContext, code: str, problem: str, usage: Usage | None = None
) -> ErrorDecision:
    said = read_error_body(body, context.redactor).said if body else ""
    message = f"The server answered {problem}{quote_server_message(said)}."
    return ErrorDecision(RetryAction.RETRY, code, message, status=200, raw=said, usage=usage)


def _text_of(content: Any) -> str | None:
    """The text of a message is a string, or one or several parts. Some of these are reasoning."""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return _text_or_none(content)
    return _join_parts([part for part in content if not _is_thought(part)])


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and (part.get("thought") is True or str(part.get("type")) in THOUGHT_TYPES)


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
