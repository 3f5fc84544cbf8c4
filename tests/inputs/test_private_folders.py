"""Inputs in folders that may be neither listed nor searched are not taken for missing ones."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
import typer
from PIL import Image

from persqa_client import generate
from persqa_client.cli.output_names import page_file, rows_file
from persqa_client.cli.usage import path
from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_inputs
from persqa_client.types import START_POSITION


@pytest.fixture
def private(open_folder: Path) -> Path:
    """A folder that may be neither listed nor searched, beside one that may."""
    for name in ("private/1.png", "zoo/2.png"):
        (open_folder / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(open_folder / name)
    (open_folder / "private").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    return open_folder / "private"


@pytest.mark.parametrize("name", ["", "1.png", "rows.jsonl", "deeper/still"])
def test_what_is_in_a_private_folder_is_not_said_to_be_missing(name: str, private: Path) -> None:
    with pytest.raises(SettingsError, match=r"private.*Permission denied"):
        for _ in open_inputs([str(private / name)], "image").lines(START_POSITION):
            pass


def test_a_link_to_itself_is_not_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SettingsError, match=r"loop cannot be read .*symbolic links"):
        open_inputs([str(tmp_path / "loop")], "image")


@pytest.mark.parametrize("name", ["qa.jsonl", "deeper/qa.jsonl"])
def test_no_other_path_is_looked_up_in_a_private_folder(name: str, private: Path) -> None:
    """An output, an image root or a page: pathlib's ``exists`` and ``is_dir`` raise errors there."""
    for parse in (path, rows_file, page_file):
        with pytest.raises(typer.BadParameter, match=r"^it can't be reached \(Permission denied\)"):
            parse(str(private / name).replace(".jsonl", ".html" if parse is page_file else ".jsonl"))
    with pytest.raises(SettingsError, match=r"output: can't be reached \(Permission denied\)"):
        generate([], output=str(private / name), base_url="http://127.0.0.1:9/v1")


@pytest.mark.parametrize("pattern", ["**/*.png", "*/*.png", "**/*"])
def test_a_pattern_says_which_folders_it_could_not_list(pattern: str, private: Path) -> None:
    source = open_inputs([f"{private.parent}/{pattern}"], "image")
    rows = [orjson.loads(line) for line, _ in source.lines(START_POSITION)]
    assert [Path(row["image"][0]).name for row in rows] == ["2.png"]
    said = f"The pattern {private.parent}/{pattern} leaves out folders that can't be listed; check their permissions: "
    assert source.warnings() == (f"{said}{private}.",)
    with pytest.raises(SettingsError, match=f"can't be listed; .*: {private}. It matches no other file."):
        open_inputs([f"{private.parent}/p*/*.png"], "image")


@pytest.mark.parametrize(
    "pattern",
    ["*/*/*.png", "*/*/*/2.png", "*/deep/*.png", "*/deep/2.png", "*/deep/**/2.png", "*/*/**/*.png", "*/**/2.png"],
)
@pytest.mark.parametrize("mode", [0o000, 0o644], ids=["not listed", "not searched"])
def test_a_private_folder_at_any_level_of_a_pattern_is_named(pattern: str, mode: int, open_folder: Path) -> None:
    """Of one that may be listed but not searched, only the names in it are known."""
    for name in ("private/deep/1.png", "private/deep/more/1.png", "zoo/deep/2.png", "zoo/deep/more/2.png"):
        (open_folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(open_folder / name)
    (open_folder / "zoo/link").symlink_to("link")
    (open_folder / "private").chmod(mode)
    if os.geteuid() == 0:
        os.seteuid(65534)
    source = open_inputs([f"{open_folder}/{pattern}"], "image")
    rows = [orjson.loads(line) for line, _ in source.lines(START_POSITION)]
    assert {Path(row["image"][0]).name for row in rows} == {"2.png"}
    (warning,) = source.warnings()
    assert f"leaves out folders that can't be listed; check their permissions: {open_folder}/private" in warning
    assert warning.count("private") == 1
    assert "link" not in warning
