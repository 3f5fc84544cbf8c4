"""LLaMA-Factory's list of data sets as an input, with the columns and roles that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_source
from persqa_client.types import START_POSITION

LLAVA_TURNS = [{"from": "human", "value": "<image>Where is <bo>?"}, {"from": "gpt", "value": "Here."}]
MADE = {"image": ["a.jpg"], "question": "Where is <bo>?", "tag": "bo", "old_answer": "Here."}


def write_list(folder: Path, entries: dict[str, Any], **files: Any) -> Path:
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps(entries, indent=2))
    return folder / "dataset_info.json"


def rows_of(path: Path) -> list[Any]:
    return [orjson.loads(line) for line, _ in open_source(path, "image").lines(START_POSITION)]


def test_the_rows_of_all_files_are_read_by_their_columns(tmp_path: Path) -> None:
    tags = {"role_tag": "who", "content_tag": "text", "user_tag": "asker", "assistant_tag": "model"}
    turns = [{"who": "asker", "text": "<image>Where is <bo>?"}, {"who": "model", "text": "Here."}]
    path = write_list(
        tmp_path,
        {
            "own": {
                "file_name": "own.json",
                "formatting": "sharegpt",
                "columns": {"messages": "chat", "images": "pics"},
                "tags": tags,
            },
            "usual": {"file_name": "usual.json", "formatting": "sharegpt", "columns": {"images": "images"}},
            "alpaca": {"file_name": "alpaca.json", "columns": {"images": "images", "system": "system"}},
        },
        own=[{"n": 1, "chat": turns, "pics": ["a.jpg"]}],
        usual=[{"conversations": LLAVA_TURNS, "images": ["a.jpg"]}],
        alpaca=[
            {
                "instruction": "<image>Where",
                "input": "is <bo>?",
                "output": "Here.",
                "images": ["a.jpg"],
                "system": "Be short.",
            }
        ],
    )
    own, usual, alpaca = rows_of(path)
    assert own == {"n": 1, **MADE}
    assert usual == MADE
    assert alpaca == {**MADE, "question": "Where\nis <bo>?", "system": "Be short."}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"hf_hub_url": "llava/rows"}, "has the data set 'bo', which is to be downloaded; give the files"),
        ({"file_name": "absent.json"}, "names .*absent.json, which does not exist"),
        ({"file_name": "rows.csv"}, "names .*rows.csv, which is neither a JSONL file nor a JSON array"),
        ({"file_name": "rows.csv", "formatting": "openai"}, "'bo' has the formatting 'openai'"),
    ],
)
def test_a_data_set_that_can_not_be_read_is_one_sentence(entry: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image\na.jpg\n")
    with pytest.raises(SettingsError, match=message):
        open_source(write_list(tmp_path, {"bo": entry}), "image")
