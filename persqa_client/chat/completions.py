"""What a server's 200 says: a completion, or why it is none. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from persqa_client.chat.verdicts import server_words, told
from persqa_client.errors import AttemptError
from persqa_client.types import Act, Completion, Usage, Verdict


def read_completion(body: bytes, key: str = "") -> Completion:
    """Reads the body of a 200. Raises AttemptError, to be tried again, where no completion is in it.

    ``key`` is kept out of what the error says.
    """
    try:
        return _read(body)
    except NoCompletion as error:
        words = server_words(body, key)
        message = f"The server answered {error.what}{told(words)}."
        raise AttemptError(Verdict(Act.RETRY, error.code, message, status=200, raw=words)) from None


class NoCompletion(ValueError):
    """What a 200 has in place of a completion: a code and the words for it."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what


def _read(body: bytes) -> Completion:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NoCompletion("invalid_json", "200 with something that is not JSON") from None
    if not isinstance(data, dict):
        raise NoCompletion("invalid_json", "200 with JSON that is not an object")
    if data.get("error"):
        raise NoCompletion("error_in_200", "200 with an error inside")
    message, finish_reason = first_choice(data)
    content, refusal = read_content(message.get("content")), text_or_none(message.get("refusal")) or None
    if content is None and refusal is None and finish_reason not in {"content_filter", "length"}:
        raise NoCompletion("no_content", "without a text (content is null)")
    return Completion(
        text=content or "",
        finish_reason=finish_reason,
        usage=read_usage(data.get("usage")),
        model=text_or_none(data.get("model")),
        refusal=refusal,
    )


def first_choice(data: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NoCompletion("no_choices", "without any choice")
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
