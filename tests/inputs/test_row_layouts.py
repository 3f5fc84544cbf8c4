"""Files of trainers as inputs: how they are recognised, and what a resumed run reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as arrow
import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import open_inputs, open_source, read_as_before
from persqa_client.inputs.row_layouts import ROW_LAYOUTS, LayoutSource
from persqa_client.inputs.sources import BrokenLine, SeveralSource, Source
from persqa_client.types import START_POSITION
from tests.inputs.packed import PICTURE, make_picture, make_png, write_arrow, write_parquet, write_tar

TURNS = [{"role": "user", "content": "<image>\nWho?"}, {"role": "assistant", "content": "Bo."}]
SWIFT = {"messages": TURNS, "images": ["a.jpg"]}
TEXT_ONLY = {"messages": [{"role": "user", "content": "Hello"}]}
ROW = {"image": "b.jpg"}
LLAVA = {"image": "c.jpg", "conversations": [{"from": "human", "value": "<image>\nWho?"}]}


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(source: Source) -> list[Any]:
    return [orjson.loads(line) for line, _ in source.lines(START_POSITION) if line.strip()]


def test_rows_of_other_layouts_are_converted_and_all_others_stay(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", TEXT_ONLY, SWIFT, ROW, "d.jpg", LLAVA)
    source = open_source(path, "image")
    assert [row if isinstance(row, str) else row.get("image") for row in rows_of(source)] == [
        *([], ["a.jpg"], "b.jpg", "d.jpg", "c.jpg"),
    ]
    assert source.warnings() == ()


@pytest.mark.parametrize("form", ["lines", "array", "pretty"])
def test_each_kind_of_file_is_recognised(form: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    if form == "lines":
        write_lines(path, SWIFT, SWIFT)
    else:
        path.write_text(json.dumps([SWIFT, SWIFT], indent=2 if form == "pretty" else None))
    assert rows_of(open_source(path, "image")) == [{"image": ["a.jpg"], "question": "Who?", "old_answer": "Bo."}] * 2


@pytest.mark.parametrize("name", ["data/rows.parquet", "data/rows.arrow", "data/rows.tar"])
def test_rows_with_their_pictures_are_recognised_also_in_a_folder(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith(".tar"):
        path.parent.mkdir()
        write_tar(path, [("1.png", make_png(1)), ("1.json", json.dumps({"messages": TURNS}).encode())])
        picture = "rows.tar#1.png"
    else:
        write = write_parquet if name.endswith(".parquet") else write_arrow
        path.parent.mkdir()
        pictures = arrow.array([[make_picture(1)]], arrow.list_(PICTURE))
        write(path, arrow.table({"messages": [TURNS], "images": pictures}))
        picture = f"{path.name}#images/1/1"
    for given in (path, tmp_path):
        (row,) = rows_of(open_inputs([given], "image"))
        assert (row["image"], row["question"]) == ([picture], "Who?")
        assert row.get("old_answer", "Bo.") == "Bo."
    source = open_source(path, "image")
    assert isinstance(source, LayoutSource)
    stamp = source.fingerprint()
    assert rows_of(read_as_before(source, stamp, START_POSITION, "image"))[0]["question"] == "Who?"
    earlier = {key: value for key, value in stamp.items() if key != "layout"}
    assert "question" not in rows_of(read_as_before(source, earlier, START_POSITION, "image"))[0]


@pytest.mark.parametrize(
    "first",
    [
        *(ROW, "b.jpg", {**LLAVA, "question": "What is this?"}),
        {"image": "b.jpg", "conversation": LLAVA["conversations"]},
        {"image": "b.jpg", "question": "What does <image> mean?"},
    ],
    ids=["a row", "a path", "a row with its question", "DataFlow's conversation", "a mark as a word"],
)
def test_a_file_whose_first_row_is_one_of_a_run_is_read_by_its_fields(first: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", first, LLAVA)
    source = open_source(path, "image")
    assert type(source) is FileSource
    assert rows_of(source) == [first, LLAVA]


def test_the_user_learns_that_the_bank_is_not_asked(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", LLAVA)
    assert open_source(path, "image").warnings() == (
        f"The rows of {path} are conversations: each is asked its own first question. --row-layout fields asks those "
        "of the bank instead.",
    )


def test_a_line_in_a_failure_file_is_converted(tmp_path: Path) -> None:
    error = {"code": "bad_line", "message": "…", "attempts": 0, "raw": None}
    path = write_lines(tmp_path / "failed.jsonl", {"line": json.dumps(SWIFT), "error": error})
    assert rows_of(open_source(path, "image")) == [{"image": ["a.jpg"], "question": "Who?", "old_answer": "Bo."}]


def test_the_user_may_have_the_rows_as_they_are(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", LLAVA)
    assert rows_of(open_inputs([path], "image", row_layout="fields")) == [LLAVA]


def test_a_resumed_run_reads_the_file_as_before(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", LLAVA, LLAVA)
    source = open_source(path, "image")
    assert isinstance(source, LayoutSource)
    stamp = source.fingerprint()
    [(_, after_first), _] = source.lines(START_POSITION)
    assert source.digest_at(after_first) == after_first.digest
    assert [json.loads(line)["question"] for line, _ in source.lines(after_first)] == ["Who?"]
    assert rows_of(read_as_before(source, stamp, START_POSITION, "image")) == rows_of(source)
    earlier = {key: value for key, value in stamp.items() if key != "layout"}
    assert rows_of(read_as_before(source, earlier, START_POSITION, "image")) == [LLAVA, LLAVA]
    write_lines(path, ROW, LLAVA)
    assert rows_of(read_as_before(open_source(path, "image"), stamp, START_POSITION, "image"))[1]["question"] == "Who?"


def test_a_run_over_several_files_reads_them_as_before(tmp_path: Path) -> None:
    paths = [write_lines(tmp_path / name, LLAVA, LLAVA) for name in ("a.jsonl", "b.jsonl")]
    earlier = open_inputs(paths, "image", row_layout="fields")
    for before in (earlier, open_inputs(paths, "image")):
        [_, _, (_, reached), *_] = before.lines(START_POSITION)
        again = read_as_before(open_inputs(paths, "image"), None, reached, "image")
        assert again.digest_at(reached) == reached.digest
        assert rows_of(again) == rows_of(before)
    assert rows_of(earlier) == [LLAVA] * 4


def test_a_run_over_files_of_several_kinds_is_resumed_after_each_layout_was_added(tmp_path: Path) -> None:
    """Earlier versions read the rows of later layouts by their fields."""
    rows = {
        "conversation": LLAVA,
        "reward": {"image": "a.jpg", "problem": "Who?", "solution": "Bo."},
        "marked": {"image": "a.jpg", "question": "<image>Who?"},
        "numbered": {"image": "a.jpg", "question_id": 1, "text": "Who?"},
        "packed": {"image": "a.jpg", "question": "Who?", "answer": "Bo.", "tags": ["<bo>"]},
    }
    assert list(rows) == list(ROW_LAYOUTS)
    paths = [write_lines(tmp_path / f"{name}.jsonl", row) for name, row in rows.items()]
    paths.append(write_lines(tmp_path / "late.jsonl", rows["conversation"], rows["packed"]))
    now, own = open_inputs(paths, "image"), open_inputs(paths, "image", row_layout="fields")
    assert isinstance(now, SeveralSource)
    assert isinstance(own, SeveralSource)
    for count in range(len(rows) + 1):
        added = list(rows)[:count]
        names = [each.layout.name if isinstance(each, LayoutSource) else "" for each in now.sources]
        earlier = now.replace(
            [new if name in added else old for name, new, old in zip(names, now.sources, own.sources, strict=True)]
        )
        *_, (_, reached) = earlier.lines(START_POSITION)
        again = read_as_before(open_inputs(paths, "image"), None, reached, "image")
        assert rows_of(again) == rows_of(earlier)


def test_a_row_that_can_not_be_converted_fails_alone_with_its_line(tmp_path: Path) -> None:
    wrong = {**SWIFT, "images": []}
    lines = [
        line for line, _ in open_source(write_lines(tmp_path / "a.jsonl", SWIFT, wrong), "image").lines(START_POSITION)
    ]
    assert isinstance(lines[1], BrokenLine)
    assert (json.loads(lines[1]), lines[1].reason) == (wrong, "the turns have 1 <image> mark, and the row 0 pictures")


def test_a_file_without_any_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="none of its first 2 rows has a field 'image', only 'messages'; name the field"
    ):
        open_source(write_lines(tmp_path / "rows.jsonl", TEXT_ONLY, TEXT_ONLY), "image")
