"""Exports to WebDataset: by the rules of its readers, which ``formats/webdataset.py`` names."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.errors import SettingsError
from persqa_client.formats.export import ExportReport, ExportSettings, export_runs
from persqa_client.formats.layout import ExportRow, RowPicture
from persqa_client.formats.splits import Split, parse_parts
from persqa_client.formats.webdataset import TarFiles
from persqa_client.inputs.opening import open_inputs
from persqa_client.types import START_POSITION
from tests.formats.examples import EXAMPLES, draw_picture, list_files, make_rows, write_run
from tests.inputs.packed import make_png

GOLDENS = Path(__file__).parent / "goldens"


def export(output: Path, target: Path, **settings: Any) -> ExportReport:
    return export_runs([output], ExportSettings("webdataset", target, **settings))


def measure(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def load_as_webdataset(path: Path) -> list[dict[str, Any]]:
    """Files are grouped by the name before the first dot, and decoded by their suffix. A key comes once."""
    samples: list[dict[str, Any]] = []
    with tarfile.open(path, "r|") as archive:
        for entry in archive:
            found = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", entry.name)
            assert found is not None
            key, part = found.groups()
            if not samples or samples[-1]["__key__"] != key:
                assert key not in [sample["__key__"] for sample in samples]
                samples.append({"__key__": key})
            file = archive.extractfile(entry)
            assert file is not None
            data = file.read()
            is_json = part.endswith("json")
            samples[-1][part] = json.loads(data) if is_json else measure(data)
    return samples


def test_the_files_are_as_in_the_golden_file(tmp_path: Path) -> None:
    with TarFiles(tmp_path, ["train"], details=True) as files:
        for record in EXAMPLES:
            pictures = tuple(RowPicture(name, name.encode(), "image/jpeg") for name in record.images)
            files.append("train", ExportRow(record, pictures))
    with tarfile.open(tmp_path / "train-000000.tar") as archive:
        entries = [(entry.name, archive.extractfile(entry)) for entry in archive]
        text = "".join(f"{name} {file.read().decode()}\n" for name, file in entries if file is not None)
    assert text == (GOLDENS / "webdataset.txt").read_text(encoding="utf-8")


def test_an_archive_is_loaded_with_its_pictures(tmp_path: Path) -> None:
    draw_picture(tmp_path / "run" / "wide.png", 1, (120, 40))
    output = write_run(tmp_path / "run", [{"image": "wide.png"}, {"image": ["wide.png", "b/2.jpg"], "id": "two"}])
    assert export(output, tmp_path / "data").files == {"train-000000.tar": 2}
    first, second = load_as_webdataset(tmp_path / "data" / "train-000000.tar")
    assert (first["__key__"], first["png"], first["json"]["id"]) == ("000000000", (120, 40), "qa-1")
    assert (second["0.png"], second["1.jpg"]) == ((120, 40), (96, 72))
    assert second["json"]["answer"] == "<mam> holds 2 cups."


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": "a.png"}, {"image": ["a.png", "b.png"]}]
    export(write_run(tmp_path / "run", rows), tmp_path / "data")
    source = open_inputs([tmp_path / "data"], "image")
    read = [json.loads(line) for line, _ in source.lines(START_POSITION)]
    assert [row["answer"] for row in read] == ["<mam> holds 1 cups.", "<mam> holds 2 cups."]
    assert [len(row["image"]) for row in read] == [1, 2]


def test_archives_are_bounded_by_bytes_and_parts_have_their_own(tmp_path: Path) -> None:
    record = replace(EXAMPLES[0], answer="x" * 900)
    with TarFiles(tmp_path, ["train", "val"], details=False, archive_bytes=4_000) as files:
        for _ in range(5):
            files.append("train", ExportRow(record, (RowPicture("a", make_png(1), "image/png"),)))
    counts = files.count_rows()
    assert list(counts.items()) == [
        ("train-000000.tar", 2),
        ("train-000001.tar", 2),
        ("train-000002.tar", 1),
        ("val-000000.tar", 0),
    ]
    keys = [sample["__key__"] for name in counts for sample in load_as_webdataset(tmp_path / name)]
    assert keys == [f"{number:09}" for number in range(5)]


def test_the_same_run_gives_the_same_archives(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(5))
    for target in ("one", "two"):
        export(output, tmp_path / target, split=Split(parse_parts("train=0.5,val=0.5")), details=True)
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")


def test_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"several files: give -o a folder, not rows\.tar"):
        export(write_run(tmp_path / "run", make_rows(1)), tmp_path / "rows.tar")
