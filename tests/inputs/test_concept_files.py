"""Files of personalised data sets as inputs: rows with the picture, the tag and the question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.concept_files import ConceptFileSource
from persqa_client.inputs.opening import open_source, read_as_before
from persqa_client.inputs.sources import BrokenLine
from persqa_client.types import START_POSITION

# Yo'LLaVA: recognition_positive.json of a character.
PAIRS = {
    "./train/bo/0.png": [
        {"Human": "Can you see <bo>?", "AI": "Yes, <bo> is there."},
        {"Human": "Who is it?", "AI": "<bo>."},
        {"AI": "half a pair"},
    ],
    "./train/bo/1.png": [{"Human": "Is this <sks>?", "AI": "Yes."}],
}
PAIR_ROWS = [
    {"image": ["./train/bo/0.png"], "question": "Can you see <bo>?", "tag": "bo", "old_answer": "Yes, <bo> is there."},
    {"image": ["./train/bo/0.png"], "question": "Who is it?", "old_answer": "<bo>."},
    # Of a broken pair, the row fails.
    {"./train/bo/0.png": {"AI": "half a pair"}},
    {"image": ["./train/bo/1.png"], "question": "Is this {tag}?", "old_answer": "Yes."},
]
VISUAL = {"bo": {"./test/bo/0.png": {"question": "Is <sks> red?", "options": {"A": "Yes"}, "correct_answer": "A"}}}
STORE: dict[str, Any] = {
    "concept_dict": {"<bo>": {"name": "bo", "image": "store/bo.png", "info": "<bo> is a dog.", "category": "dog"}},
    "path_to_concept": {"store/bo.png": "<bo>"},
}


def write(path: Path, value: Any, indent: int | None = None) -> Path:
    path.write_text(json.dumps(value, indent=indent))
    return path


def rows_of(path: Path) -> list[Any]:
    return [orjson.loads(bytes(line)) for line, _ in open_source(path, "image").lines(START_POSITION)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(PAIRS, PAIR_ROWS, id="Yo'LLaVA and MC-LLaVA"),
        pytest.param(
            {"0.png": {"Human": "Where is <bo>?", "AI": "Here."}},
            [{"image": ["0.png"], "question": "Where is <bo>?", "tag": "bo", "old_answer": "Here."}],
            id="MC-LLaVA's test sets",
        ),
        pytest.param(
            {"0.png": [{"Question": "Where are <bo> and <al>?", "Answer": "Here."}]},
            [{"image": ["0.png"], "question": "Where are <bo> and <al>?", "tag": "bo", "old_answer": "Here."}],
            id="MC-LLaVA's training data",
        ),
        pytest.param(
            VISUAL,
            [
                {
                    "image": ["./test/bo/0.png"],
                    "question": "Is {tag} red?",
                    "options": {"A": "Yes"},
                    "correct_answer": "A",
                    "tag": "bo",
                }
            ],
            id="questions with options",
        ),
        pytest.param(
            STORE,
            [{"image": ["store/bo.png"], "tag": "bo", "description": "<bo> is a dog.", "class": "dog"}],
            id="the store of RAP and RePIC",
        ),
    ],
)
def test_a_file_of_a_personalised_set_becomes_rows(
    value: Any, expected: list[Any], indent: int | None, tmp_path: Path
) -> None:
    assert rows_of(write(tmp_path / "data.json", value, indent)) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (PAIRS, "pair 3 of ./train/bo/0.png has no text under 'Human' or 'Question'"),
        ({"0.png": ["Who?", {"Human": "Who?"}]}, "pair 1 of 0.png has no text under 'Human' or 'Question'"),
        (
            {"concept_dict": {**STORE["concept_dict"], "<al>": {"name": "al"}}},
            "the character '<al>' has no text under 'image'",
        ),
        (
            [{"image": "a.jpg", "question": "<image>\n<image>\nWho is it?"}],
            "the question has 2 <image> marks, and the row 1 picture",
        ),
    ],
)
def test_what_can_not_be_asked_about_fails_with_its_place(value: Any, reason: str, tmp_path: Path) -> None:
    lines = [line for line, _ in open_source(write(tmp_path / "data.json", value), "image").lines(START_POSITION)]
    assert [line.reason for line in lines if isinstance(line, BrokenLine)] == [reason]


def test_a_run_continues_after_any_row(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "data.json", PAIRS), "image")
    assert isinstance(source, ConceptFileSource)
    whole = list(source.lines(START_POSITION))
    for number, (_, position) in enumerate(whole, 1):
        again = read_as_before(
            open_source(tmp_path / "data.json", "image"), source.fingerprint(), START_POSITION, "image"
        )
        assert list(again.lines(position)) == whole[number:]
        assert again.digest_at(position) == position.digest
        assert again.progress_at(position) == number
    assert source.progress_total() == len(whole)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(
            {"image": ["ref.png", "a.png"], "problem": "Describe <bo>.", "solution": "<bo>", "accu_reward_method": "x"},
            {"question": "Describe <bo>.", "tag": "bo"},
            id="RePIC",
        ),
        pytest.param(
            {
                "image": "a.jpg",
                "conversations": [{"from": "human", "value": "<image>\nDoes <D> wear shoes?"}],
                "extra": {
                    "crop/0.jpg": {"name": "D", "info": "A man in orange.", "category": "person"},
                    "crop/1.jpg": {"name": "E", "info": "A woman.", "category": "person"},
                },
            },
            {
                "question": "Does <D> wear shoes?",
                "tag": "D",
                "reference": "crop/0.jpg",
                "description": "A man in orange.",
            },
            id="RAP",
        ),
        pytest.param(
            {
                "image": "a.jpg",
                "conversations": [{"from": "human", "value": "<image>\nWho is left, <E> or <D>?"}],
                "extra": {"0.jpg": {"name": "D", "info": "1"}, "1.jpg": {"name": "E", "info": "2"}},
            },
            {"question": "Who is left, <E> or <D>?", "tag": "E", "reference": "1.jpg", "description": "2"},
            id="RAP: two characters in the question",
        ),
        pytest.param(
            {"image": "a.jpg", "question": "<image>\nIs <bo> in this image?", "correct_answer": True},
            {"question": "Is <bo> in this image?", "tag": "bo"},
            id="RAP: a test of recognition",
        ),
        pytest.param(
            {"image": "a.jpg", "prompt": "<image>\nIs <bo> in it?", "chosen": "Yes.", "rejected": "No."},
            {"question": "Is <bo> in it?", "tag": "bo"},
            id="pairs for DPO",
        ),
        pytest.param(
            {"image": ["a.jpg"], "prompt": "Is <bo> in it?", "chosen": [{"role": "assistant"}], "rejected": []},
            {"question": "Is <bo> in it?", "tag": "bo"},
            id="TRL's and Oumi's pairs for DPO, without marks",
        ),
        pytest.param(
            {"question_id": 0, "image": "a.jpg", "text": "<image>\nIs <bo> in it?", "category": "Animals"},
            {"question": "Is <bo> in it?", "tag": "bo"},
            id="LLaVA's questions",
        ),
        pytest.param(
            {"question_id": 0, "image": "a.jpg", "text": "Who?", "category": "conv", "question_category": 1},
            {"question": "Who?"},
            id="LLaVA's questions, with a field of the name that their category gets",
        ),
        pytest.param({"question_id": 0, "image": "a.jpg", "prompt": "Who?", "text": "Bo."}, {}, id="LLaVA's answers"),
    ],
)
def test_rows_keep_their_members_and_get_the_question_and_who_it_is_about(
    row: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    assert rows_of(write(tmp_path / "data.json", [row])) == [{**row, **expected}]


def test_a_category_of_questions_is_none_of_a_bank(tmp_path: Path) -> None:
    row = {"question_id": 0, "image": "a.jpg", "text": "Who?", "category": "conv"}
    kept = {"question_id": 0, "image": "a.jpg", "text": "Who?", "question": "Who?", "question_category": "conv"}
    path = write(tmp_path / "data.json", [row] * 30)
    assert rows_of(path) == [kept] * 30
    with pytest.raises(SettingsError, match="'conv' is not a known category"):
        open_source(path, "image", row_layout="fields")


@pytest.mark.parametrize("images", ["https://photos.example/200/300", ["a.jpg"], [{"bytes": None, "path": "a.jpg"}]])
def test_pairs_whose_pictures_stand_under_images(images: Any, tmp_path: Path) -> None:
    row = {"prompt": "Is <bo> in it?", "images": images, "chosen": [{"role": "assistant"}], "rejected": []}
    (read,) = rows_of(write(tmp_path / "data.json", [row]))
    assert read["image"] == (["a.jpg"] if isinstance(images, list) else [images])
    assert (read["question"], read["tag"], "images" in read) == ("Is <bo> in it?", "bo", False)
