"""Server-sent events, as far as responses use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from persqa_client.client.error_body import BYTE_ORDER_MARK, load_json

EVENT_STREAM = "text/event-stream"
LAST_EVENT = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Event:
    data: bytes
    name: bytes = b""
    is_ended: bool = True  # by an empty line; the last event of a lost connection is not


def is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").strip().lower().startswith(EVENT_STREAM)


def parse_events(body: bytes) -> Iterator[Event]:
    """The events with data. Lines end with CR, LF or both."""
    name, lines = b"", list[bytes]()
    for line in body.removeprefix(BYTE_ORDER_MARK).splitlines():
        if not line:
            yield from _split_event(lines, name, is_ended=True)
            name, lines = b"", []
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    yield from _split_event(lines, name, is_ended=False)


def _split_event(lines: list[bytes], name: bytes, *, is_ended: bool) -> Iterator[Event]:
    """One event, whose data may have several lines; or several, from servers that send no empty lines."""
    are_events = len(lines) > 1 and all(line.strip() == LAST_EVENT or load_json(line) is not None for line in lines)
    for data in lines if are_events else [b"\n".join(lines)]:
        if data := data.strip():
            yield Event(data, name, is_ended)
