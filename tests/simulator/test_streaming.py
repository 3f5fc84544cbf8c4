"""Streamed answers, over a socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.response import assemble_stream, read_completion, read_stream
from tests.simulator.requests import SimulatorClient, chat_body, connect, image_part, make_image

STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def parse_events(stream: str) -> list[Any]:
    """The events of a stream, without its end."""
    *texts, end = [line.removeprefix("data: ") for line in stream.split("\n\n") if line]
    assert end == "[DONE]"
    return [orjson.loads(text) for text in texts]


@pytest.mark.parametrize("text", ["Question: Who is <mam>?", "问题：<mam>穿着什么？"])
def test_the_chunks_add_up_to_the_complete_answer(text: str) -> None:
    with connect() as client:
        complete = client.post(chat_body(text=text))
        chunks = client.post(chat_body(text=text, **STREAMED))
    assert chunks.headers["content-type"].startswith("text/event-stream")
    assert len(parse_events(chunks.text)) > 5
    context = AttemptContext("http://sim/v1", "sim")
    assert read_stream(chunks.content, context) == read_completion(complete.content, context)


def test_usage_is_sent_on_request_only() -> None:
    with connect() as client:
        assert not any("usage" in event for event in parse_events(client.post(chat_body(stream=True)).text))


# Seconds; no test waits for such an answer.
LONG = 60.0
CHAT = ("POST", "/v1/chat/completions")


def test_the_status_is_sent_once_the_images_are_read() -> None:
    with connect(latency=LONG) as client, client.http.stream(*CHAT, json=chat_body(**STREAMED)) as reply:
        assert (reply.status_code, client.server.stats()["answered"]) == (200, 0)


def test_an_image_is_cached_when_the_answer_begins() -> None:
    first, second = (chat_body(image_part(data, uuid="abc"), **STREAMED) for data in (make_image(), None))
    with (
        connect(latency=LONG) as client,
        client.http.stream(*CHAT, json=first),
        client.http.stream(*CHAT, json=second) as second_reply,
    ):
        assert second_reply.status_code == 200


def test_an_early_error_has_its_status() -> None:
    with connect(script=["503"]) as client:
        statuses = [
            client.post(request).status_code
            for request in (chat_body(**STREAMED), chat_body(image_part(None, uuid="x"), stream=True))
        ]
    assert statuses == [503, 400]


def test_a_full_queue_is_an_early_error() -> None:
    with connect(slots=1, max_queued=0, latency=LONG) as client, client.http.stream(*CHAT, json=chat_body(**STREAMED)):
        assert client.post(chat_body(**STREAMED)).status_code == 503


def post_for_one_event(client: SimulatorClient) -> Any:
    [event] = parse_events(client.post(chat_body(**STREAMED)).text)
    return event


@pytest.mark.parametrize(
    ("fault", "code"), [("500", 500), ("502_html", 502), ("engine_dead", 500), ("error_in_200", 500)]
)
def test_a_late_error_is_an_event(fault: str, code: int) -> None:
    with connect(script=[fault]) as client:
        assert post_for_one_event(client)["error"]["code"] == code


def test_a_body_without_a_choice_or_a_text_is_streamed_so() -> None:
    with connect(script=["no_choices", "null_content"]) as client:
        assert post_for_one_event(client)["choices"] == []
        chunks = client.post(chat_body(**STREAMED)).content
    answer = assemble_stream(chunks)
    assert isinstance(answer, dict)
    assert answer["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize("fault", ["reset", "cut_body"])
def test_a_broken_stream_has_no_end(fault: str) -> None:
    with connect(script=[fault]) as client, pytest.raises(Exception, match=r"(?i)closed|reset|disconnect"):
        client.post(chat_body(**STREAMED))


def test_an_invalid_stream_is_no_json() -> None:
    with connect(script=["invalid_json"]) as client:
        content = client.post(chat_body(**STREAMED)).content
    assert assemble_stream(content) == content
