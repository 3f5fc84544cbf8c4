"""Rows of trainers become rows of a run: their pictures, the first question, and the former answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from persqa_client.errors import RowError
from persqa_client.inputs.conversations import ConversationRows, remove_image_marks

ASKED = {"role": "user", "content": "<image>\nWhat does <bo> hold?"}
ANSWERED = {"role": "assistant", "content": "A cup."}
QUESTION = {"question": "What does <bo> hold?", "tag": "bo"}
SECOND_TEXT = {"type": "text", "value": "Who?"}
OLD = {"old_answer": "A cup."}
NUMBERED = [{"role": "user", "content": "Who?\n<image_00>\n<image_01>\n"}, ANSWERED]


def blocks(*pictures: Any) -> list[Any]:
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": "Who?"}]}, ANSWERED]


def convert(row: dict[str, Any], image_key: str = "image") -> bytes:
    layout = ConversationRows()
    assert layout.reads(row, image_key)
    return layout.convert(json.dumps(row).encode(), row, image_key)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(
            {"messages": [ASKED, ANSWERED], "images": ["a.jpg"]},
            {"image": ["a.jpg"], **QUESTION, **OLD},
            id="LLaMA-Factory, ms-swift",
        ),
        pytest.param(
            {"messages": [ASKED], "images": "a.jpg"}, {"image": ["a.jpg"], **QUESTION}, id="a text, no answer"
        ),
        pytest.param(
            {"id": 7, "images": ["b.jpg", "a.jpg"], "messages": blocks({"type": "image"}, {"type": "image"})},
            {"id": 7, "image": ["b.jpg", "a.jpg"], "question": "Who?", **OLD},
            id="TRL",
        ),
        pytest.param(
            {"messages": blocks({"type": "image", "path": "a.jpg"}, {"type": "image", "base64": "QQ=="})},
            {"image": ["a.jpg", "data:image/jpeg;base64,QQ=="], "question": "Who?", **OLD},
            id="Axolotl",
        ),
        pytest.param(
            {"messages": blocks({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}})},
            {"image": ["data:image/png;base64,QQ=="], "question": "Who?", **OLD},
            id="OpenAI",
        ),
        pytest.param(
            {
                "messages": blocks(
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                )
            },
            {"image": ["data:image/jpeg;base64,QQ==", "https://example.org/a.png"], "question": "Who?", **OLD},
            id="Anthropic",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"image": "a.jpg"}, {"text": "Who?"}]}, ANSWERED]},
            {"image": ["a.jpg"], "question": "Who?", **OLD},
            id="DashScope: blocks without a type",
        ),
        pytest.param(
            {"images": ["a.jpg"], "texts": [{"user": "Who?", "assistant": "A cup.", "source": "x"}] * 2},
            {"image": ["a.jpg"], "question": "Who?", **OLD},
            id="The Cauldron",
        ),
        pytest.param(
            {"system": "S", "conversation": [{"human": "<image>Who?", "assistant": "A cup."}], "images": ["a.jpg"]},
            {"system": "S", "image": ["a.jpg"], "question": "Who?", **OLD},
            id="pairs of ms-swift",
        ),
        pytest.param(
            {"image": {"<image_00>": "a.jpg", "<image_01>": "b.jpg"}, "conversations": NUMBERED},
            {"image": ["a.jpg", "b.jpg"], "question": "Who?", **OLD},
            id="MiniCPM-V",
        ),
        pytest.param(
            {"messages": blocks({"type": "image", "image": "file:///a.jpg"})},
            {"image": ["file:///a.jpg"], "question": "Who?", **OLD},
            id="Qwen's messages",
        ),
        pytest.param(
            {
                "image": "a.jpg",
                "conversations": [
                    {"from": "user", "value": "Picture 1: <img>a.jpg</img>\nPicture 2: <img>b.jpg</img>\nWho?"},
                    {"from": "assistant", "value": "A cup."},
                ],
            },
            {"image": ["a.jpg", "b.jpg"], "question": "Who?", **OLD},
            id="Qwen-VL: paths in the text",
        ),
        pytest.param(
            {"query": "<image>Who?", "response": "B", "history": [["<image>What?", "A cup."]], "images": ["a.jpg"] * 2},
            {"image": ["a.jpg"], "question": "What?", **OLD},
            id="ms-swift's first rows, and one picture twice",
        ),
        pytest.param(
            {"instruction": "Who", "input": "is <bo>?", "output": "A cup.", "images": ["a.jpg"]},
            {"image": ["a.jpg"], "question": "Who\nis <bo>?", "tag": "bo", **OLD},
            id="Alpaca",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "value": "a.jpg"}, SECOND_TEXT]}]},
            {"image": ["a.jpg"], "question": "Who?"},
            id="LLaMA-Factory's second layout",
        ),
        pytest.param(
            {"prompt": [ASKED], "images": [{"path": "a.jpg", "bytes": None}], "completion": [ANSWERED]},
            {"completion": [ANSWERED], "image": ["a.jpg"], **QUESTION},
            id="a prompt, and objects of datasets",
        ),
        pytest.param(
            {
                "conversations": [{"from": "human", "value": "Who?<image>"}, {"from": "bot", "value": "B"}],
                "image": "a.jpg",
            },
            {
                "conversations": [{"from": "human", "value": "Who?<image>"}, {"from": "bot", "value": "B"}],
                "image": "a.jpg",
                "question": "Who?",
            },
            id="LLaVA: the turns stay",
        ),
        pytest.param(
            {
                "messages": [{"role": "system", "content": "Be short."}, ASKED, ANSWERED, ASKED, ANSWERED],
                "images": ["a.jpg", "b.jpg"],
                "system": None,
                "tag": "ada",
            },
            {"tag": "ada", "image": ["a.jpg", "b.jpg"], "question": QUESTION["question"], "system": "Be short.", **OLD},
            id="several turns, and a tag of the row's own",
        ),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.jpg"}}]},
                    {"role": "user", "content": "Who?"},
                    ANSWERED,
                    {"role": "user", "content": "And now?"},
                ]
            },
            {"image": ["a.jpg"], "question": "Who?", **OLD},
            id="OpenAI: a picture in a turn of its own",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_path", "content": "a.jpg"}, {"type": "text", "content": "Who?"}],
                    },
                    ANSWERED,
                ]
            },
            {"image": ["a.jpg"], "question": "Who?", **OLD},
            id="Oumi",
        ),
        pytest.param(
            {
                "messages": blocks(
                    {"type": "image", "text": None, "image": {"bytes": "QQ==", "path": "a.jpg"}},
                    {"type": "text", "text": None, "value": "Now:"},
                )
            },
            {"image": ["data:image/jpeg;base64,QQ=="], "question": "Now:\nWho?", **OLD},
            id="blocks of one type, as datasets writes them",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "<image>"}, ANSWERED], "images": ["a.jpg"]},
            {"image": ["a.jpg"], **OLD},
            id="a picture without a question",
        ),
    ],
)
def test_a_row_of_turns_becomes_a_row_of_a_run(row: dict[str, Any], expected: dict[str, Any]) -> None:
    assert json.loads(convert(row)) == expected


def test_other_members_keep_their_bytes_and_the_pictures_get_the_image_key() -> None:
    turns = b'[{"role": "user", "content": "<image>"}]'
    line = b'{"n": 1.50, "messages": %b, "images": ["a"], "big": 12345678901234567890123}' % turns
    converted = ConversationRows().convert(line, json.loads(line), "picture")
    assert converted == b'{"n": 1.50, "big": 12345678901234567890123, "picture": ["a"]}'


def test_a_text_without_pictures_is_no_picture_row_but_stays_one_in_a_mixed_file() -> None:
    row = {"messages": [{"role": "user", "content": "Hello"}, ANSWERED]}
    assert not ConversationRows().reads(row, "image")
    converted = ConversationRows().convert(json.dumps(row).encode(), row, "image")
    assert json.loads(converted) == {"image": [], "question": "Hello", **OLD}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [ASKED], "images": []}, "the turns have 1 <image> mark, and the row 0 pictures"),
        ({"messages": [ASKED, ASKED], "images": ["a"]}, "the turns have 2 <image> marks, and the row 1 picture"),
        ({"messages": [ASKED], "images": [3]}, "the field 'images' must be a path or a list of paths"),
        (
            {"messages": [ASKED], "images": ["a"], "videos": ["b"]},
            "it has a video under 'videos'; only pictures are read",
        ),
        ({"messages": [ASKED], "images": ["a"], "audio": "b"}, "it has a sound under 'audio'; only pictures are read"),
        ({"messages": blocks({"type": "video", "path": "a.mp4"})}, "a block has the type 'video'; only text and"),
        ({"messages": blocks({"type": "text", "body": "a"})}, "a block of the type 'text' has no member 'text'"),
        ({"messages": blocks({"video": "a.mp4"})}, "a block has the type 'video'; only text and"),
        ({"messages": blocks({"type": ["text"], "text": "a"})}, r"a block has the type .\[\"text\"\]."),
    ],
)
def test_a_row_whose_pictures_are_not_clear_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        convert(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<image>", ""),
        ("<image>\n<image>\nWho?", "Who?"),
        ("This is <bo>: <image> Who?", "This is <bo>: Who?"),
        ("This is <bo>.\n<image>\nWho?<image>", "This is <bo>.\nWho?"),
        ("a<image>b", "a b"),
        ("<IMG_CONTEXT>\nWho?", "Who?"),
    ],
)
def test_marks_leave_the_words_apart(text: str, expected: str) -> None:
    assert remove_image_marks(text) == expected


@pytest.mark.parametrize(
    "turns",
    [
        [{"human": "<image>Who?", "assistant": "Bo."}, {"human": "And?"}],
        [{"from": "human", "value": "<image>Who?"}],
        "text",
        [["Who?", "Bo."]],
    ],
)
def test_no_other_conversation_is_read_as_pairs(turns: object) -> None:
    """DataFlow-MM's operator replaces the question of its turns."""
    assert not ConversationRows().reads({"conversation": turns, "image": "a.jpg"}, "image")
