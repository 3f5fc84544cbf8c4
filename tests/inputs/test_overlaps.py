"""Inputs that name the same rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_inputs

SHARED = "is in two inputs, {} and {}: it becomes a row of each of them"


@pytest.fixture(autouse=True)
def _photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/trip/b.jpg", "photos/.hidden/c.jpg", "photos2/d.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
    Path("rows.jsonl").write_text('{"image": "photos/a.jpg"}\n')
    os.symlink("photos", "link")


@pytest.mark.parametrize(
    "names",
    [
        ["photos", "photos2", "./photos/"],
        ["photos", "link"],
        ["rows.jsonl", "*.jsonl"],
        ["photos/a.jpg", "link/a.jpg"],
    ],
)
def test_what_is_given_twice_is_refused(names: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"^The input \S+ is given twice: give it once\.$"):
        open_inputs(names, "image")


@pytest.mark.parametrize(
    ("names", "picture", "owners"),
    [
        (["photos/trip", "photos"], "photos/trip", ("photos/trip", "photos")),
        (["photos/trip/b.jpg", "link"], "photos/trip/b.jpg", ("link", "photos/trip/b.jpg")),
        (["photos2", "photos", "photos/t*/*.jpg"], "photos/trip/b.jpg", ("photos", "photos/t*/*.jpg")),
        (["photos/*.jpg", "photos/a.jpg"], "photos/a.jpg", ("photos/*.jpg", "photos/a.jpg")),
    ],
)
def test_a_picture_of_two_inputs_is_named_once(names: list[str], picture: str, owners: tuple[str, str]) -> None:
    (warning,) = (each for each in open_inputs(names, "image").warnings() if "two inputs" in each)
    assert warning.startswith(f"{picture} {SHARED.format(*owners)}")


@pytest.mark.parametrize(
    "names",
    [
        ["photos", "photos2"],
        ["photos", "photos/.hidden"],
        ["photos/trip", "photos/a.jpg"],
        # Rows of a file may have other questions about the pictures of a folder.
        ["rows.jsonl", "photos"],
    ],
)
def test_inputs_without_common_pictures_have_no_warning(names: list[str]) -> None:
    assert not any("two inputs" in warning for warning in open_inputs(names, "image").warnings())
