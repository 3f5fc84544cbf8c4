"""Answers of the simulator that come piece by piece, over a socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.response import assemble_stream, read_completion
from tests.simulator.asking import Asker, asking, body, part, picture

IN_PIECES: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def events(text: str) -> list[Any]:
    """What a stream says, its mark of the end left out."""
    *told, end = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert end == "[DONE]"
    return [orjson.loads(event) for event in told]


@pytest.mark.parametrize("text", ["Question: Who is <mam>?", "问题：<mam>穿着什么？"])
def test_the_pieces_make_the_answer_that_comes_whole(text: str) -> None:
    with asking() as ask:
        whole = ask.post(body(text=text))
        pieces = ask.post(body(text=text, **IN_PIECES))
    assert pieces.headers["content-type"].startswith("text/event-stream")
    assert len(events(pieces.text)) > 5
    assert read_completion(assemble_stream(pieces.content)) == read_completion(whole.content)


def test_usage_is_told_to_who_asks_for_it() -> None:
    with asking() as ask:
        assert not any("usage" in event for event in events(ask.post(body(stream=True)).text))


LONG = 60.0
"""Seconds; nobody waits for an answer that takes so long."""
CHAT = ("POST", "/v1/chat/completions")


def test_the_status_comes_as_soon_as_the_pictures_are_in() -> None:
    with asking(latency=LONG) as ask, ask.client.stream(*CHAT, json=body(**IN_PIECES)) as reply:
        assert (reply.status_code, ask.server.stats()["answered"]) == (200, 0)


def test_a_picture_is_kept_when_the_answer_begins() -> None:
    first, second = (body(part(data, uuid="abc"), **IN_PIECES) for data in (picture(), None))
    with (
        asking(latency=LONG) as ask,
        ask.client.stream(*CHAT, json=first),
        ask.client.stream(*CHAT, json=second) as named,
    ):
        assert named.status_code == 200


def test_what_is_refused_before_any_work_has_a_status() -> None:
    with asking(script=["503"]) as ask:
        statuses = [
            ask.post(request).status_code for request in (body(**IN_PIECES), body(part(None, uuid="x"), stream=True))
        ]
    assert statuses == [503, 400]


def test_a_full_queue_refuses_with_a_status() -> None:
    with asking(slots=1, max_queued=0, latency=LONG) as ask, ask.client.stream(*CHAT, json=body(**IN_PIECES)):
        assert ask.post(body(**IN_PIECES)).status_code == 503


def one(ask: Asker) -> Any:
    [event] = events(ask.post(body(**IN_PIECES)).text)
    return event


@pytest.mark.parametrize(
    ("fault", "code"), [("500", 500), ("502_html", 502), ("engine_dead", 500), ("error_in_200", 500)]
)
def test_what_goes_wrong_later_is_an_event(fault: str, code: int) -> None:
    with asking(script=[fault]) as ask:
        assert one(ask)["error"]["code"] == code


def test_an_answer_without_a_choice_or_a_text_has_none_in_pieces_either() -> None:
    with asking(script=["no_choices", "null_content"]) as ask:
        assert one(ask)["choices"] == []
        pieces = ask.post(body(**IN_PIECES)).content
    assert orjson.loads(assemble_stream(pieces))["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize("fault", ["reset", "cut_body"])
def test_a_broken_stream_has_no_end(fault: str) -> None:
    with asking(script=[fault]) as ask, pytest.raises(Exception, match=r"(?i)closed|reset|disconnect"):
        ask.post(body(**IN_PIECES))


def test_a_spoilt_stream_is_no_json() -> None:
    with asking(script=["invalid_json"]) as ask:
        content = ask.post(body(**IN_PIECES)).content
    assert assemble_stream(content) == content
