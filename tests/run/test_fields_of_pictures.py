"""Texts that name fields of the rows, over inputs whose rows are pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.config import Endpoint
from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_inputs
from persqa_client.run.run_input import plan_for_source
from persqa_client.run.settings import make_run_settings

ENDPOINT = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")


@pytest.fixture(autouse=True)
def _inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.new("RGB", (32, 32)).save("photos/a.png")
    Path("list.txt").write_text("photos/a.png\n")
    Path("rows.jsonl").write_text(json.dumps({"image": "photos/a.png"}) + "\n")


def plan(flags: dict[str, Any], *inputs: str) -> None:
    plan_for_source(make_run_settings([ENDPOINT], flags), open_inputs(inputs, "image"))


@pytest.mark.parametrize("name", ["photos", "photos/*.png", "photos/a.png", "list.txt"])
def test_pictures_have_no_fields(name: str) -> None:
    with pytest.raises(SettingsError, match=r"--system names the field \{scarf\}, and the rows of .* are pictures"):
        plan({"system": "Know the {scarf} of {tag}."}, name)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"prompt": "{question} {tga}"}, r"--prompt names the field \{tga\} \(did you mean \{tag\}\?\), and"),
        ({"describe": "the {category_}"}, r"--describe names the field \{category_\} \(did you mean \{category\}\?\)"),
        ({"box": "cropped", "box_key": "face"}, r"--box needs a box .* rows that have the field 'face'\."),
    ],
)
def test_the_known_names_are_told(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan(flags, "photos")


@pytest.mark.parametrize(
    ("flags", "inputs"),
    [
        ({"prompt": "{question} {tga}"}, ["rows.jsonl"]),
        ({"prompt": "{question} {tga}"}, ["list.txt", "rows.jsonl"]),
        ({"prompt": "{question} of the {category}", "describe": "{tag}, who smiles"}, ["photos"]),
    ],
)
def test_rows_of_a_file_may_have_them(flags: dict[str, Any], inputs: list[str]) -> None:
    plan(flags, *inputs)
