"""Server-sent events and their texts, as servers and gateways write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from persqa_client.client.json_text import BYTE_ORDER_MARK, PADDING, load_json

EVENT_STREAM = "text/event-stream"
LAST_EVENT = b"[DONE]"
ERROR_EVENT = b"error"
# Gateways add the prefix a second time, or send comments as data.
DATA_PREFIXES = re.compile(rb"(?: ?data:)* ?(?::.*)?", re.DOTALL)
MIN_REPEATED = 5  # characters that two pieces of a text hardly have in common by chance
FIRST_FIELD = re.compile(rb"(?:data|event|id|retry)?:")


@dataclass(frozen=True, slots=True)
class Event:
    data: bytes
    name: bytes = b""
    is_ended: bool = True  # whether an empty line ends it; the last event of a lost connection has none


def is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").strip().lower().startswith(EVENT_STREAM)


def looks_like_events(body: bytes) -> bool:
    """Whether a body begins as a stream does, or ends with its last event, whatever its content type is."""
    return begins_with_field(body) or body[-16:].rstrip(PADDING).endswith(LAST_EVENT)


def are_json_lines(body: bytes) -> bool:
    """Whether a body that is no JSON has the chunks of a stream, one a line. The last line may be cut off."""
    lines = [line for line in body.splitlines() if line.strip(PADDING)]
    return any(b'"delta"' in line for line in lines) and all(isinstance(load_json(line), dict) for line in lines[:-1])


def begins_with_field(body: bytes) -> bool:
    return FIRST_FIELD.match(body[:100].removeprefix(BYTE_ORDER_MARK).lstrip(PADDING)) is not None


def remove_last_event(body: bytes) -> bytes:
    whole = body.rstrip(PADDING).removesuffix(LAST_EVENT).rstrip()
    return whole.removesuffix(b"data:")


def parse_events(body: bytes) -> Iterator[Event]:
    """The events with data. Lines end with CR, LF or both. Some gateways send JSON without ``data:``."""
    name, lines = b"", list[bytes]()
    for line in body.removeprefix(BYTE_ORDER_MARK).splitlines():
        line = line.strip(PADDING)
        if not line:
            yield from _split_event(lines, name, is_ended=True)
            name, lines = b"", []
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(DATA_PREFIXES.sub(b"", value, count=1))
        elif line.startswith((b"{", b"[")):
            lines.append(line)
        elif field == b"event":
            name = value.strip()
    yield from _split_event(lines, name, is_ended=False)


def _split_event(lines: list[bytes], name: bytes, *, is_ended: bool) -> Iterator[Event]:
    """One event, whose data may have several lines; or several, from servers that send no empty lines."""
    whole = b"\n".join(lines)
    are_events = len(lines) > 1 and load_json(whole) is None and any(map(_is_event, lines))
    parts = [data for line in (lines if are_events else [whole]) if (data := line.strip())]
    for data in parts:
        yield Event(data, name, is_ended or data is not parts[-1])


def _is_event(line: bytes) -> bool:
    return line.strip() == LAST_EVENT or isinstance(load_json(line), dict)


def join_pieces(pieces: list[str], enough: int = MIN_REPEATED) -> str | None:
    """The text of a stream. Some servers repeat the text so far in each piece or at the end, or send each piece twice.

    ``enough``: repeated characters that show this.
    """
    texts = [piece for piece in pieces if piece]
    # Equal pieces of an answer are a loop of the model.
    if len(set(texts)) > (1 if enough else 0) and sum(map(len, texts[:-1])) >= enough:
        if len(texts[-1]) >= enough and all(_continues(later, text) for text, later in pairwise(texts)):
            return texts[-1]
        if len(texts) % 2 == 0 and texts[::2] == texts[1::2]:
            texts = texts[::2]
    joined, size = list[str](), 0
    for text in texts:
        if joined != [text] and MIN_REPEATED <= size <= len(text) + 1 and _continues(text, "".join(joined)):
            joined, size = [], 0
        joined.append(text)
        size += len(text)
    return "".join(joined) if pieces else None


def _continues(later: str, text: str) -> bool:
    """Whether a piece repeats the text so far, of which an incomplete character or a space at the end may change."""
    return later.lstrip().startswith(text.strip().rstrip("\ufffd"))
