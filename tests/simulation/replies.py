"""Requests as a simulated endpoint reads them, and the replies that it can send."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

# In a picture's bytes, or in the question about it.
ROW = re.compile(rb"picture of row (\d+)")


@dataclass(frozen=True, slots=True)
class SimRequest:
    """``row`` is None for a request about another picture: a trial of the client's own."""

    row: int | None
    # Whether it repeats a rejected answer, or has another limit of tokens.
    is_second_ask: bool = False

    @property
    def name(self) -> str:
        return "trial" if self.row is None else f"row {self.row}{', second ask' if self.is_second_ask else ''}"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    label: str = ""

    def after(self, seconds: float) -> Reply:
        """With this Retry-After."""
        return replace(self, headers=(*self.headers, ("retry-after", f"{seconds:g}")))


JSON_HEADERS = (("content-type", "application/json"),)
MAX_TOKENS = 512


def picture_of(row: int) -> bytes:
    return b"picture of row %d" % row


def read_request(content: bytes) -> SimRequest:
    body = orjson.loads(content)
    messages = body["messages"]
    found = next((match for text in texts_and_pictures(messages) if (match := ROW.search(text))), None)
    is_second = len(messages) > 2 or body.get("max_tokens", MAX_TOKENS) != MAX_TOKENS
    return SimRequest(int(found[1]) if found else None, is_second)


def texts_and_pictures(messages: list[dict[str, Any]]) -> Iterator[bytes]:
    for message in messages:
        content = message["content"]
        for part in content if isinstance(content, list) else [{"text": content}]:
            if "image_url" in part:
                yield base64.b64decode(part["image_url"]["url"].partition(",")[2])
            else:
                yield part["text"].encode()


def reply_json(status: int, body: Any, label: str = "") -> Reply:
    return Reply(status, orjson.dumps(body), JSON_HEADERS, label or str(status))


def refusal(status: int, message: str, /, **fields: Any) -> Reply:
    """An error in OpenAI's form."""
    return reply_json(status, {"error": {"message": message, **fields}}, f"{status} {message[:40]}")


def html_page(status: int, title: str) -> Reply:
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, body.encode(), (("content-type", "text/html"),), f"{status} {title}")


def completion(text: str | None, finish_reason: str | None = "stop", tokens: int = 12, **message: Any) -> Reply:
    body = {
        "model": "qwen",
        "choices": [{"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 300, "completion_tokens": tokens},
    }
    return reply_json(200, body, f"200 {finish_reason} {(text or '')[:20]!r}")


def good_text(row: int | None) -> str:
    return f"<mam> holds up a dark blue balloon over a white box with the number {row or 0}."


def good_answer(row: int | None) -> Reply:
    return completion(good_text(row))
