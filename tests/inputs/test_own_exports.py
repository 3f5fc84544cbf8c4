"""Exports of ours below a folder of pictures have copies of them, and are no input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.folders import FolderSource, count_folder_images, find_folder_names, has_images
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.sources import Source
from persqa_client.types import START_POSITION

OWN = {"tool": "persqa_client", "export": 1}


def make_photos(folder: Path, description: object = OWN, *, name: str = "sets/v1") -> Path:
    for each in ("photos/a.jpg", "photos/sets/b.jpg", f"photos/{name}/images/a.jpg", f"photos/{name}/odd.png"):
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        (folder / each).write_bytes(b"x")
    (folder / "photos" / name / "export.json").write_text(json.dumps(description))
    return folder / "photos"


def pictures_of(source: Source) -> list[str]:
    return [Path(*json.loads(line)["image"]).name for line, _ in source.lines(START_POSITION)]


def test_a_folder_leaves_out_its_exports_and_names_them(tmp_path: Path) -> None:
    photos = make_photos(tmp_path)
    assert list(find_folder_names(photos)) == ["a.jpg", "sets/b.jpg"]
    assert count_folder_images(photos) == 2
    assert FolderSource(photos, "image").warnings() == (f"In {photos}, exports of persqa are left out (1 × v1/).",)


def test_an_export_that_is_given_itself_is_an_input(tmp_path: Path) -> None:
    photos = make_photos(tmp_path)
    assert list(find_folder_names(photos / "sets/v1")) == ["odd.png", "images/a.jpg"]
    assert has_images(photos / "sets/v1/images")
    assert pictures_of(open_inputs([f"{photos}/sets/v1/*/*.jpg"], "image")) == ["a.jpg"]


@pytest.mark.parametrize("description", [{"export": 1}, {"tool": "persqa_client", "listing": 1}, ["tool"], "text"])
def test_a_file_of_the_same_name_says_nothing(description: object, tmp_path: Path) -> None:
    assert count_folder_images(make_photos(tmp_path, description)) == 4


def test_a_pattern_leaves_out_exports_as_a_folder_does(tmp_path: Path) -> None:
    photos = make_photos(tmp_path)
    source = open_inputs([f"{photos}/**/*.jpg"], "image")
    assert pictures_of(source) == ["a.jpg", "b.jpg"]
    assert source.warnings() == (
        f"The pattern {photos}/**/*.jpg also matches files of exports of persqa, which are left out: {photos}/sets/v1.",
    )


def test_a_pattern_of_folders_leaves_out_exports_among_them(tmp_path: Path) -> None:
    photos = make_photos(tmp_path, name="v1")
    source = open_inputs([f"{photos}/*"], "image")
    assert pictures_of(source) == ["a.jpg", "b.jpg"]
    assert any(f"which are left out: {photos}/v1." in warning for warning in source.warnings())
    with pytest.raises(SettingsError, match=r"left out: .*/v1\. It matches no other file\."):
        open_inputs([f"{photos}/v?"], "image")
