"""Answers from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.faults import Choice
from persqa_client.simulator.settings import read_answers
from tests.simulator.requests import chat_body, connect

LINES = """{"question": "What is <mam> wearing?", "answer": "A man.\\n", "finish_reason": "length"}

{"question": "<mam>穿着什么？", "answer": "<mam>穿着外套。"}
"""


def test_a_fixed_answer_is_sent_unchanged(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text(LINES, encoding="utf-8")
    answers = read_answers(tmp_path / "answers.jsonl")
    assert answers == {
        "What is <mam> wearing?": Choice("A man.\n", "length"),
        "<mam>穿着什么？": Choice("<mam>穿着外套。"),
    }
    with connect(answers=answers) as client:
        choice = client.post(chat_body()).json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("A man.\n", "length")
        assert client.text(chat_body(text="图中的主角叫做<mam>。\n问题：<mam>穿着什么？")) == "<mam>穿着外套。"
        assert client.text(chat_body(text="Question: What is behind <mam>?")).startswith("<mam> ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("no json", "line 1 of .* is not a JSON object", id="no JSON"),
        pytest.param('{"question": "a"}', "line 1 of .* has no question or no answer", id="no answer"),
        pytest.param('{"question": "a", "answer": 1}', "has a value that is not a text", id="no text"),
        pytest.param(
            '{"question": "a", "answer": "b", "tag": "c"}', "is not an object of these fields", id="another field"
        ),
    ],
)
def test_a_malformed_file_is_reported_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_answers(tmp_path / "answers.jsonl")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"answers\.jsonl can't be read"):
        read_answers(tmp_path / "answers.jsonl")
