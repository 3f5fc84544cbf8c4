"""Each layout writes the bytes of its golden file, and reads back what it wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.cli.export import LayoutName
from persqa_client.formats.image_marks import remove_own_marks, split_image_marks
from persqa_client.formats.registry import FORMATS, LAYOUTS
from persqa_client.formats.run_lines import JSONL
from persqa_client.records.data_record import DataRecord, SourceLine
from tests.formats.examples import CHARACTERS, EXAMPLES, ONE_PICTURE, PIXEL

GOLDENS = Path(__file__).parent / "goldens"
LAYOUT_NAMES = sorted(LAYOUTS)


def choose_examples(name: str) -> Sequence[DataRecord]:
    return CHARACTERS if LAYOUTS[name].takes_reference or LAYOUTS[name].choose_file is not None else EXAMPLES


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_the_rows_are_as_in_the_golden_file(name: str) -> None:
    written = b"".join(LAYOUTS[name].write(record) + b"\n" for record in choose_examples(name))
    assert written == (GOLDENS / f"{name}.jsonl").read_bytes()


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_what_is_written_is_read_again(name: str) -> None:
    layout = LAYOUTS[name]
    embeds = "embed" in layout.pictures and "leave" not in layout.pictures
    for record in choose_examples(name):
        if name == "jsonl" and not record.images:
            continue  # A row of a run has a picture.
        given = replace(record, images=(PIXEL,) * len(record.images)) if embeds else record
        read = layout.read(json.loads(layout.write(given)))
        images = (given.reference, *given.images) if name == "repic" and given.reference else given.images
        assert (read.images, read.question, read.answer) == (images, given.question, given.answer)
        assert read.id in ("", record.id)
        if name == "rap":
            assert (read.reference, read.description) == (given.reference, given.description)


def test_the_command_offers_every_layout() -> None:
    assert set(get_args(LayoutName)) == FORMATS.keys()


LLAVA_TURNS = [{"from": "human", "value": "<image>\n?"}, {"from": "gpt", "value": "b"}]
ANSWERED = {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (
            "llava",
            {"image": "a.jpg", "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "b"}]},
        ),
        ("llava", {"image": 3, "conversations": []}),
        ("llamafactory", {"messages": [{"role": "user", "content": "a"}, ANSWERED]}),
        ("llamafactory", {"images": "a.jpg", "messages": []}),
        ("swift", {"images": ["a.jpg"], "messages": [{"role": "user", "content": "<image>\n?"}]}),
        ("trl", {"images": ["a.jpg"], "messages": [{"role": "user", "content": "?"}, ANSWERED]}),
        ("axolotl", {"messages": [{"role": "user", "content": [{"type": "video"}]}, ANSWERED]}),
        ("openai", {"messages": "?"}),
        ("yollava", {"a.jpg": [{"Human": "?"}]}),
        ("mcllava", {"a.jpg": [], "b.jpg": []}),
        ("rap", {"image": "a.jpg", "conversations": LLAVA_TURNS}),
        ("repic", {"image": "a.jpg", "problem": "?", "solution": [1, 2, 3, 4], "answer": "b"}),
        ("jsonl", {"image": "a.jpg", "pers_qa": "an answer alone"}),
    ],
)
def test_rows_of_another_layout_are_refused(name: str, row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        LAYOUTS[name].read(row)


@pytest.mark.parametrize(
    ("question", "count", "expected"),
    [
        ("<image>\nWhat is it?", 1, "What is it?"),
        ("What is it?<image>", 1, "What is it?"),
        ("<image><image> Which?", 2, "Which?"),
        ("<image>\nWhat is it?", 2, "<image>\nWhat is it?"),
        ("What does <image> mean?", 1, "What does <image> mean?"),
        ("What is it?", 1, "What is it?"),
        ("<image>", 1, "<image>"),
    ],
)
def test_marks_that_stand_for_the_pictures_are_not_part_of_the_question(
    question: str, count: int, expected: str
) -> None:
    assert remove_own_marks(question, count) == expected


MARKED = re.compile(r"(?P<before>(?:\s*<image>)*)\s*(?P<text>.*?)\s*(?P<after>(?:<image>\s*)*)", re.DOTALL)


@given(st.lists(st.sampled_from([" ", "\n", "<image>", "<image", "egami<", "a"])).map("".join))
def test_marks_are_split_off_as_by_one_expression(text: str) -> None:
    found = MARKED.fullmatch(text)
    assert found is not None
    assert split_image_marks(text) == ((found["before"] + found["after"]).count("<image>"), found["text"])


@pytest.mark.parametrize("part", [" ", "<image>", " <image> b"])
def test_a_long_question_is_split_at_once(part: str) -> None:
    """A quadratic search takes minutes."""
    count, text = split_image_marks(f"a{part * 100_000}b")
    assert (count, len(text)) == (0, 100_000 * len(part) + 2)


def write_from(line: str, answer: str, record: DataRecord, output_key: str = "pers_qa") -> str:
    source = SourceLine(line.encode(), "image", output_key, answer)
    return JSONL.write(replace(record, source=source)).decode()


def test_a_line_of_the_output_stays_as_it_is_but_for_its_paths() -> None:
    line = '{"image":  "x.jpg", "n": 1.0, "pers_qa": "Question: What does <mam> hold?, Answer: <mam> holds a cup."}'
    assert write_from(line, ONE_PICTURE.answer, ONE_PICTURE) == line.replace("x.jpg", "images/a.jpg")
    same = line.replace("x.jpg", "images/a.jpg")
    assert write_from(same, ONE_PICTURE.answer, ONE_PICTURE) == same


def test_an_answer_that_a_decision_changed_is_written_in_its_place() -> None:
    record = replace(ONE_PICTURE, answer="<mam> holds a mug.")
    line = '{"image": "images/a.jpg", "pers_qa": "Question: What does <mam> hold?, Answer: <mam> holds a cup.", "n": 1}'
    assert write_from(line, ONE_PICTURE.answer, record) == line.replace("cup", "mug")
    turns = (
        '"conversations": [{"from": "human", "value": "<image>\\n?"}, {"from": "gpt", "value": "<mam> holds a cup."}]'
    )
    line = f'{{"image": "images/a.jpg", {turns}, "pers_qa": "<mam> holds a cup."}}'
    row = json.loads(write_from(line, ONE_PICTURE.answer, record))
    assert row["conversations"][1]["value"] == row["pers_qa"] == "<mam> holds a mug."
