"""What a server's 200 says: a completion, or why it is none. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from persqa_client.client.classify import server_words, told
from persqa_client.client.forms import attach, unwrap
from persqa_client.errors import AttemptError
from persqa_client.types import Act, Completion, Usage, Verdict


def read_completion(body: bytes, key: str = "") -> Completion:
    """Reads the body of a 200. Raises AttemptError, to be tried again, where no completion is in it.

    ``key`` is kept out of what the error says.
    """
    found = _read(body)
    if isinstance(found, Completion):
        return found
    words = server_words(body, key)
    message = f"The server answered {found.what}{told(words)}."
    raise AttemptError(Verdict(Act.RETRY, found.code, message, status=200, raw=words))


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


def whole(completion: Completion, *, wrapped: bool, prefix: str | None) -> Completion:
    """The completion with the whole answer for its text: out of its JSON, its given beginning put back."""
    if completion.refusal is not None or not (wrapped or prefix):
        return completion
    text = unwrap(completion.text) if wrapped else completion.text
    return replace(completion, text=attach(prefix, text) if prefix else text)
