"""Loads exports by the rules of personalised models, restated here. The modules of the layouts name the sources."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.formats.export import ExportSettings, export_runs
from persqa_client.formats.splits import Split, parse_parts
from tests.formats.examples import write_run
from tests.report.runs import make_record

SETTINGS = {"reference-key": "ref", "describe-key": "who"}
QUESTION = "What does <mam> hold?"
LONG = "<mam> holds a cup that is white and has a blue rim, and looks at it while sitting on the stairs of a house."
OTHER = LONG.replace("<mam>", "<a_b>")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A character with a reference and words, one without, and rows with one picture and with two."""
    rows: list[dict[str, Any]] = [
        {"image": "a.png", "ref": "mam.png", "who": "a grey cat"},
        {"image": "b.png"},
        {"image": "a.png"},
        {"image": ["a.png", "b.png"]},
    ]
    outcomes = [make_record(number, LONG, category="animal") for number in range(1, 5)]
    outcomes[1] = replace(make_record(2, OTHER), tag="<a_b>")
    write_run(tmp_path / "run", [{"image": "mam.png"}], name="other.jsonl")
    return write_run(tmp_path / "run", rows, outcomes=outcomes, settings=SETTINGS)


def load_pairs(folder: Path, name: str) -> list[tuple[str, str, str]]:
    """Yo'LLaVA, started in the folder: every pair has these two members, and its picture is opened."""
    data = json.loads((folder / name / "conversation.json").read_text())
    assert all((folder / path).is_file() for path in data)
    assert all(len(pair) == 2 for pairs in data.values() for pair in pairs)
    return [(path, pair["Human"], pair["AI"]) for path, pairs in data.items() for pair in pairs]


def test_yollava_loads_the_pairs_of_each_character(output: Path, tmp_path: Path) -> None:
    report = export_runs([output], ExportSettings("yollava", tmp_path / "data"))
    assert load_pairs(tmp_path / "data", "mam") == [("images/a.png", QUESTION, LONG)] * 2
    assert load_pairs(tmp_path / "data", "a_b") == [("images/b.png", QUESTION, OTHER)]
    assert report.files == {"mam/conversation.json": 2, "a_b/conversation.json": 1}
    assert report.left_out == {"too_many_images": 1}
    export_runs([output], ExportSettings("yollava", tmp_path / "data", force=True))


def test_no_character_shares_a_folder_on_a_disk_that_ignores_case(tmp_path: Path) -> None:
    names = ["Bo", "bo", "bo-2", "Bo", "mi\u00e9", "mie\u0301"]
    outcomes = [
        replace(make_record(number, LONG.replace("mam", name)), tag=f"<{name}>") for number, name in enumerate(names, 1)
    ]
    output = write_run(tmp_path / "run", [{"image": "a.png"}] * len(names), outcomes=outcomes)
    report = export_runs([output], ExportSettings("yollava", tmp_path / "data"))
    assert report.files == {
        f"{folder}/conversation.json": 2 if folder == "Bo" else 1
        for folder in ("Bo", "bo-2", "bo-2-2", "mi\u00e9", "mie\u0301-2")
    }
    for folder, name in {"Bo": "Bo", "bo-2": "bo", "bo-2-2": "bo-2", "mi\u00e9": "mi\u00e9"}.items():
        pairs = load_pairs(tmp_path / "data", folder)
        assert {answer for _, _, answer in pairs} == {LONG.replace("mam", name)}


def test_a_split_has_a_folder_for_each_part(output: Path, tmp_path: Path) -> None:
    split = Split(parse_parts("train=0.5,val=0.5"), by="picture")
    report = export_runs([output], ExportSettings("yollava", tmp_path / "data", split=split))
    assert {name.split("/")[0] for name in report.files} <= {"train", "val"}
    assert sum(report.files.values()) == 3


def test_mcllava_gets_no_name_that_it_would_split(output: Path, tmp_path: Path) -> None:
    report = export_runs([output], ExportSettings("mcllava", tmp_path / "data"))
    assert load_pairs(tmp_path / "data", "mam") == [("images/a.png", QUESTION, LONG)] * 2
    assert report.left_out == {"too_many_images": 1, "tag_name": 1}
    assert report.examples[0].message == "the format takes the underscore in <a_b> for the end of a name"


def test_rap_places_the_characters_before_the_question(output: Path, tmp_path: Path) -> None:
    export_runs([output], ExportSettings("rap", tmp_path / "data"))
    rows = json.loads((tmp_path / "data" / "train.json").read_text())
    loaded = []
    for row in rows:
        images, extra_info = [row["image"]], ""
        for path, crop in row["extra"].items():
            extra_info += f"{len(images)}.<image>\n Name: <{crop['name']}>, Info: {crop['info']}\n"
            images.append(path)
        assert all((tmp_path / "data" / image).is_file() for image in images)
        question = row["conversations"][0]["value"].replace("<image>\n", "").replace("<image>", "")
        prompt = f"<image>\n[{extra_info}]{question}" if row["extra"] else f"<image>\n{question}"
        assert prompt.count("<image>") == len(images)
        loaded.append((images, prompt, row["conversations"][1]["value"]))
    shown = f"<image>\n[1.<image>\n Name: <mam>, Info: a grey cat\n]{QUESTION}"
    assert loaded == [
        (["images/a.png", "images/mam.png"], shown, LONG),
        (["images/b.png"], f"<image>\n{QUESTION}", OTHER),
        (["images/a.png"], f"<image>\n{QUESTION}", LONG),
    ]


@pytest.mark.parametrize("name", ["rap", "repic"])
def test_the_store_of_characters_leads_from_a_picture_to_its_words(name: str, output: Path, tmp_path: Path) -> None:
    export_runs([output], ExportSettings(name, tmp_path / "data"))
    database = json.loads((tmp_path / "data" / "database.json").read_text())
    tag = database["path_to_concept"]["images/mam.png"]
    assert tag == "<mam>"
    assert database["concept_dict"][tag] == {
        "name": "mam",
        "image": "images/mam.png",
        "info": "a grey cat",
        "category": "animal",
    }


def reward_name(content: str, solution: str) -> float:
    """RePIC's reward for ``yes_no_name``."""
    if len(content) < 100:
        return 0.0
    is_found = re.search(re.escape(solution), content) is not None
    is_hacked = re.search(re.escape(solution.replace("<", "</")), content) is not None
    return float(is_found and not is_hacked)


def test_repic_rewards_the_answer_of_each_row(output: Path, tmp_path: Path) -> None:
    report = export_runs([output], ExportSettings("repic", tmp_path / "data"))
    data_sets = json.loads((tmp_path / "data" / "datasets.yaml").read_text())["datasets"]
    assert data_sets == [{"json_path": "train.jsonl"}]
    rows = [json.loads(line) for line in (tmp_path / "data" / "train.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows] == [
        *(["images/mam.png", "images/a.png"], "images/b.png", "images/a.png", ["images/a.png", "images/b.png"]),
    ]
    assert [row["accu_reward_method"] for row in rows] == ["yes_no_name"] * 4
    assert [reward_name(row["answer"], row["solution"]) for row in rows] == [1.0] * 4
    assert report.row_count == 4


def test_a_file_has_no_place_for_several_files(output: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the format yollava has several files: give -o a folder"):
        export_runs([output], ExportSettings("yollava", tmp_path / "data.json"))
