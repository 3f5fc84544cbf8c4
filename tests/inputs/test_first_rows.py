"""How much of an input is read, and held, before a run starts."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import open_source

MIB = 1 << 20
# A list takes far more memory than its text.
LARGE = {"scores": list(range(20_000)), "caption": "x" * 800_000}


def write_rows(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def refuse_measured(path: Path, message: str) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(SettingsError, match=message):
            open_source(path, "image")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_rows_without_pictures_are_not_held(tmp_path: Path) -> None:
    rows = [{"number": number, **LARGE, "photo": f"{number}.jpg"} for number in range(60)]
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    peak = refuse_measured(path, r"none of its first \d\d rows has a field 'image', .*: add --image-key photo")
    assert peak < 24 * MIB


@pytest.mark.slow
def test_a_limit_of_bytes_ends_the_look_at_the_first_rows(tmp_path: Path) -> None:
    large = {"text": "x" * MIB}
    path = write_rows(tmp_path / "rows.jsonl", *[large] * 30, {"image": "a.jpg"})
    with pytest.raises(SettingsError, match="none of its first 20 rows has a field 'image', only 'text'"):
        open_source(path, "image")
    path = write_rows(tmp_path / "rows.jsonl", *[large] * 19, {"image": "a.jpg"})
    assert type(open_source(path, "image")) is FileSource


@pytest.mark.slow
def test_only_the_first_of_many_problems_is_held(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "category": f"{number} " + "?" * 200_000} for number in range(60)]
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    assert refuse_measured(path, r"none of its first 60 rows can be asked about. Line 1: ") < 10 * MIB
    assert refuse_measured(write_rows(path, *rows, {"text": "x"}), r"of its first 61 rows can be") < 10 * MIB


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"questions": ["What?", "Who?"]}, ["'questions' is copied and not read; did you mean 'question'? A row"]),
        ({"Question": "What?", "langauge": "zh"}, ["'Question' is copied", "'langauge' is copied and not read; did"]),
        ({"question": "What?", "questions": 3, "question_id": 7, "cat": "x", "tags": ["a"], "idx": 1}, []),
        ({"question_type": "what", "lang": "zh", "quest": "x"}, []),
    ],
)
def test_a_field_with_nearly_the_name_of_another_is_reported(
    fields: dict[str, object], said: list[str], tmp_path: Path
) -> None:
    """It is copied without being asked, so that the questions of a bank would come as a surprise."""
    warnings = open_source(write_rows(tmp_path / "rows.jsonl", {"image": "a.jpg", **fields}), "image").warnings()
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))


def test_a_misnamed_field_is_also_reported_in_other_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image,questions\na.jpg,What?\n")
    (tmp_path / "rows.json").write_text('[{"image": "a.jpg", "questions": "What?"}]')
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cup."}]
    write_rows(tmp_path / "turns.jsonl", {"image": "a.jpg", "conversations": turns, "Language": "zh"})
    for name, key in (("rows.csv", "questions"), ("rows.json", "questions"), ("turns.jsonl", "Language")):
        assert any(f"{key!r} is copied" in warning for warning in open_source(tmp_path / name, "image").warnings())
