"""Loads exports by the rules of their consumers, restated here. The modules of the layouts name the sources."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.formats.export import ExportSettings, export_runs
from persqa_client.formats.splits import Split, parse_parts
from tests.formats.examples import draw_picture, read_rows, write_run

Loaded = list[tuple[list[tuple[int, int]], str, str]]
QUESTION = "What does <mam> hold?"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A run about one picture, about two, and about a picture in the row."""
    draw_picture(tmp_path / "runs" / "wide.png", 1, (120, 40))
    draw_picture(tmp_path / "runs" / "high.jpg", 2, (60, 96))
    draw_picture(tmp_path / "tiny.png", 3, (64, 64))
    inline = f"data:image/png;base64,{base64.b64encode((tmp_path / 'tiny.png').read_bytes()).decode()}"
    rows: list[dict[str, Any]] = [{"image": "wide.png"}, {"image": ["wide.png", "high.jpg"]}, {"image": [inline]}]
    return write_run(tmp_path / "runs", rows)


EXPECTED: Loaded = [
    ([(120, 40)], QUESTION, "<mam> holds 1 cups."),
    ([(120, 40), (60, 96)], QUESTION, "<mam> holds 2 cups."),
    ([(64, 64)], QUESTION, "<mam> holds 3 cups."),
]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def take_marked(text: str, images: list[tuple[int, int]]) -> str:
    """Each mark takes the next picture, and none is left: Qwen's trainer, LLaMA-Factory and ms-swift."""
    assert text.count("<image>") == len(images), (text, images)
    return re.sub(r"<image>\s*", "", text)


def load_as_qwen(folder: Path) -> Loaded:
    rows = json.loads((folder / "train.json").read_text())
    loaded: Loaded = []
    for row in rows:
        images = row.get("image") or []
        images = [images] if isinstance(images, str) else images
        assert "images" not in row
        human, gpt = row["conversations"]
        assert human["from"] == "human"
        sizes = [size_of((folder / image).resolve()) for image in images]
        loaded.append((sizes, take_marked(human["value"], sizes), gpt["value"]))
    return loaded


def load_as_llama_factory(folder: Path) -> Loaded:
    info = json.loads((folder / "dataset_info.json").read_text())["train"]
    columns, tags = info["columns"], info["tags"]
    assert info["formatting"] == "sharegpt"
    loaded: Loaded = []
    for row in read_rows(folder / info["file_name"]):
        medias = row[columns["images"]]
        assert isinstance(medias, list)
        messages = row[columns["messages"]]
        assert len(messages) % 2 == 0
        roles = [message[tags["role_tag"]] for message in messages]
        assert roles == [tags["user_tag"], tags["assistant_tag"]]
        texts = [message[tags["content_tag"]] for message in messages]
        sizes = [size_of(folder / media) for media in medias]
        assert "<image>" not in texts[1]
        loaded.append((sizes, take_marked(texts[0], sizes), texts[1]))
    return loaded


def load_as_swift(folder: Path) -> Loaded:
    """With ``ROOT_IMAGE_DIR`` set to the folder."""
    loaded: Loaded = []
    for row in read_rows(folder / "train.jsonl"):
        assert set(row) <= {"messages", "images"}
        sizes = [size_of(folder / image) for image in row.get("images", [])]
        asked, answered = row["messages"]
        assert (asked["role"], answered["role"]) == ("user", "assistant")
        loaded.append((sizes, take_marked(asked["content"], sizes), answered["content"]))
    return loaded


def join_texts(content: list[dict[str, Any]]) -> str:
    return "".join(block["text"] for block in content if block["type"] == "text")


def load_as_trl(folder: Path) -> Loaded:
    loaded: Loaded = []
    for row in read_rows(folder / "train.jsonl"):
        assert isinstance(row["images"], list)
        asked, answered = row["messages"]
        # One type of content in all messages, for datasets' columns.
        assert all(isinstance(message["content"], list) for message in row["messages"])
        places = [block for block in asked["content"] if block["type"] == "image"]
        assert places == [{"type": "image"}] * len(row["images"])
        sizes = [size_of(folder / image) for image in row["images"]]
        loaded.append((sizes, join_texts(asked["content"]), join_texts(answered["content"])))
    return loaded


def load_as_axolotl(folder: Path) -> Loaded:
    loaded: Loaded = []
    for row in read_rows(folder / "train.jsonl"):
        assert set(row) == {"messages"}
        asked, answered = row["messages"]
        sizes = [size_of(folder / block["path"]) for block in asked["content"] if block["type"] == "image"]
        loaded.append((sizes, join_texts(asked["content"]), join_texts(answered["content"])))
    return loaded


def load_as_openai(folder: Path) -> Loaded:
    loaded: Loaded = []
    for line in (folder / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert set(row) == {"messages"}
        asked, answered = row["messages"]
        sizes = []
        for block in asked["content"]:
            if block["type"] == "image_url":
                header, _, data = block["image_url"]["url"].partition(";base64,")
                with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
                    assert header == f"data:image/{(image.format or '').lower()}"
                    sizes.append(image.size)
        assert len(sizes) <= 10
        assert isinstance(answered["content"], str)
        loaded.append((sizes, join_texts(asked["content"]), answered["content"]))
    return loaded


LOADERS = {
    "llava": load_as_qwen,
    "llamafactory": load_as_llama_factory,
    "swift": load_as_swift,
    "trl": load_as_trl,
    "axolotl": load_as_axolotl,
    "openai": load_as_openai,
}


@pytest.mark.parametrize("name", sorted(LOADERS))
@pytest.mark.parametrize("sent", [False, True])
def test_an_export_is_loaded_with_its_pictures(name: str, sent: bool, output: Path, tmp_path: Path) -> None:
    export_runs([output], ExportSettings(name, tmp_path / "data", sent=sent))
    assert LOADERS[name](tmp_path / "data") == EXPECTED


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_all_files_of_a_split_are_loaded_alike(name: str, output: Path, tmp_path: Path) -> None:
    """LLaMA-Factory names each file; of the others, each file stands by itself."""
    split = Split(parse_parts("train=0.5,val=0.5"), by="row")
    report = export_runs([output], ExportSettings(name, tmp_path / "data", split=split))
    assert sum(len(read_rows(tmp_path / "data" / file)) for file in report.files) == 3
    if name == "llamafactory":
        info = json.loads((tmp_path / "data" / "dataset_info.json").read_text())
        assert {entry["file_name"] for entry in info.values()} == set(report.files) == {"train.jsonl", "val.jsonl"}
