"""Answers that a person wants given are given as they are, and others as always."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.faults import Choice
from persqa_client.simulator.server import read_given
from tests.simulator.asking import asking, body

LINES = """{"question": "What is <mam> wearing?", "answer": "A man.\\n", "finish_reason": "length"}

{"question": "<mam>穿着什么？", "answer": "<mam>穿着外套。"}
"""


def test_a_given_answer_goes_out_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text(LINES, encoding="utf-8")
    answers = read_given(tmp_path / "answers.jsonl")
    assert answers == {
        "What is <mam> wearing?": Choice("A man.\n", "length"),
        "<mam>穿着什么？": Choice("<mam>穿着外套。"),
    }
    with asking(answers=answers) as asker:
        choice = asker.post(body()).json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("A man.\n", "length")
        assert asker.text(body(text="图中的主角叫做<mam>。\n问题：<mam>穿着什么？")) == "<mam>穿着外套。"
        assert asker.text(body(text="Question: What is behind <mam>?")).startswith("<mam> ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("no json", "line 1, is no JSON object", id="no JSON"),
        pytest.param('{"question": "a"}', "lacks its question or its answer", id="no answer"),
        pytest.param('{"question": "a", "answer": 1}', "another form", id="no text"),
        pytest.param('{"question": "a", "answer": "b", "tag": "c"}', "another form", id="another field"),
    ],
)
def test_a_file_of_another_form_is_refused_by_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_given(tmp_path / "answers.jsonl")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"answers\.jsonl can't be read"):
        read_given(tmp_path / "answers.jsonl")
