"""What a server's 200 says: a completion, or why it is none. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from persqa_client.chat.verdicts import server_words
from persqa_client.errors import AttemptError
from persqa_client.types import Act, Completion, Usage, Verdict


def read_completion(body: bytes) -> Completion:
    """Reads the body of a 200. Raises AttemptError, to be tried again, where no completion is in it."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise no_completion("invalid_json", "The server answered 200 with something that is not JSON", body) from None
    if not isinstance(data, dict):
        raise no_completion("invalid_json", "The server answered 200 with JSON that is not an object", body)
    if data.get("error"):
        raise no_completion("error_in_200", "The server answered 200 with an error inside", body)
    message, finish_reason = first_choice(data, body)
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if not isinstance(content, str) and not refusal and finish_reason not in {"content_filter", "length"}:
        raise no_completion("no_content", "The server answered without a text (content is null)", body)
    return Completion(
        text=content if isinstance(content, str) else "",
        finish_reason=finish_reason,
        usage=read_usage(data.get("usage")),
        model=data.get("model") if isinstance(data.get("model"), str) else None,
        refusal=refusal if isinstance(refusal, str) and refusal else None,
    )


def first_choice(data: dict[str, Any], body: bytes) -> tuple[dict[str, Any], str | None]:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise no_completion("no_choices", "The server answered without any choice", body)
    message = choices[0].get("message")
    return (message if isinstance(message, dict) else {}), choices[0].get("finish_reason")


def read_usage(usage: object) -> Usage:
    """The tokens that the server counted; zero where it says nothing."""
    counts = usage if isinstance(usage, dict) else {}
    return Usage(*(n if isinstance(n := counts.get(key), int) else 0 for key in ("prompt_tokens", "completion_tokens")))


def no_completion(code: str, message: str, body: bytes) -> AttemptError:
    words = server_words(body)
    return AttemptError(Verdict(Act.RETRY, code, f"{message}{f': {words}' if words else ''}.", status=200, raw=words))
