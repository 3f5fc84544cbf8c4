"""Parsing of chat requests."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.simulator.chat_requests import ImagePart, parse_chat_request
from persqa_client.simulator.error_responses import ErrorResponse
from tests.support.cases import each_case

IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


def user(*content: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]
    return {"role": "user", "content": parts}


@each_case(
    ("messages", "tag", "question"),
    [
        pytest.param(
            [user(IMAGE, "Called <mam>. Begin with <mam>…\nQuestion: What is <mam> wearing?")],
            "<mam>",
            "What is <mam> wearing?",
            id="English",
        ),
        pytest.param(
            [user(IMAGE, "主角叫<小满>。\n问题：<小满>穿着什么？")], "<小满>", "<小满>穿着什么？", id="Chinese"
        ),
        pytest.param(
            [
                user(
                    IMAGE,
                    "The dog is called Charlie. Begin with Charlie.\nQuestion: Where is Charlie?",
                )
            ],
            "Charlie",
            "Where is Charlie?",
            id="an ordinary name",
        ),
        pytest.param(
            [user(IMAGE, "图中的主角叫做小满。请以小满开头。\n问题：小满在哪里？")],
            "小满",
            "小满在哪里？",
            id="a Chinese name",
        ),
        pytest.param(
            [user(IMAGE, "Who is <mam>?"), {"role": "assistant", "content": "A cat"}, user("Begin with <it>. Again!")],
            "<mam>",
            "Who is <mam>?",
            id="the turn with pictures goes before later ones",
        ),
        pytest.param(
            [{"role": "system", "content": "You know <bo>."}, user(IMAGE, "Question: a? Question: Who is it?")],
            "<bo>",
            "Who is it?",
            id="tag from another turn, last question",
        ),
        pytest.param([user("Just text")], None, "Just text", id="no tag, no question mark-up"),
        pytest.param([{"role": "user", "content": "x < 3 and <b c> y"}], "<b c>", "x < 3 and <b c> y", id="plain text"),
        pytest.param([{"role": "system", "content": "alone"}], None, "", id="no question"),
    ],
)
def test_tag_and_question_are_found(messages: list[Any], tag: str | None, question: str) -> None:
    chat = parse_chat_request({"messages": messages})
    assert (chat.tag, chat.question) == (tag, question)


def test_images_are_collected_in_order_with_their_uuids() -> None:
    two = {"type": "image_url", "image_url": None, "uuid": "abc"}
    chat = parse_chat_request({"messages": [user(IMAGE, "a", two), user(IMAGE)]})
    assert chat.images == (ImagePart("data:,"), ImagePart(None, "abc"), ImagePart("data:,"))


@each_case(
    ("body", "words"),
    [
        pytest.param([], "valid dictionary", id="not an object"),
        pytest.param({}, "Field required", id="no messages"),
        pytest.param({"messages": []}, "empty conversation", id="no turn"),
        pytest.param({"messages": ["hi"]}, "with a role", id="message without a role"),
        pytest.param({"messages": [{"role": "user", "content": 5}]}, "valid string or list", id="odd content"),
        pytest.param({"messages": [user({"type": "video_url"})]}, "Unknown part type: video_url", id="other part"),
        pytest.param({"messages": [user({"type": "image_url"})]}, "image_url.url", id="picture without a source"),
    ],
)
def test_a_body_that_is_no_chat_request_is_rejected(body: Any, words: str) -> None:
    with pytest.raises(ErrorResponse) as caught:
        parse_chat_request(body)
    assert caught.value.status == 400
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("fields", "most"),
    [({}, None), ({"max_tokens": 7}, 7), ({"max_completion_tokens": 5, "max_tokens": 7}, 5)],
)
def test_max_tokens_has_two_names(fields: dict[str, int], most: int | None) -> None:
    assert parse_chat_request({"messages": [user("a")], **fields}).max_tokens == most
