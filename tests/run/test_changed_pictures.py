"""Pictures that changed since they were asked about are noticed, named, and asked about again by choice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import RunStopped, SettingsError
from persqa_client.config import Endpoint
from persqa_client.images.changed_files import MAX_NAMED
from persqa_client.inputs.opening import open_source
from persqa_client.run.background import execute_blocking
from persqa_client.run.recheck import recheck_run
from persqa_client.run.run import Run
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.run_folder import make_fast_pool

COLOURS = {"red": (200, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 200)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in COLOURS:
        draw(tmp_path / f"{name}.png", name)
    names = ("red", "missing", "green", "blue", "red")
    write_rows(tmp_path, [{"image": f"{name}.png", "id": number} for number, name in enumerate(names)])
    return tmp_path


def draw(path: Path, colour: str) -> None:
    Image.new("RGB", (40, 30), COLOURS[colour]).save(path)


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


class Starts:
    """Starts of one run in a folder."""

    def __init__(self, folder: Path, server: Simulator) -> None:
        self.folder, self.server = folder, server
        self.warnings: list[str] = []

    def __call__(self, **flags: Any) -> Summary:
        self.warnings.clear()
        endpoint = Endpoint(base_url=self.server.base_url, model="persqa-simulator")
        rows, output = self.folder / "rows.jsonl", self.folder / "qa.jsonl"
        settings = make_run_settings([endpoint], {"probes": False, **flags}, input=rows, output=output)
        pool = make_fast_pool(settings, self.warnings.append)
        return execute_blocking(Run(settings, open_source(rows, "image"), warn=self.warnings.append, pool=pool))

    @property
    def asked(self) -> int:
        return int(self.server.stats()["requests"])

    def answers(self) -> dict[int, str]:
        return {row["id"]: row["pers_qa"] for row in self.read("qa.jsonl")}

    def read(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@pytest.fixture
def go(folder: Path, simulator: Simulator) -> Starts:
    return Starts(folder, simulator)


def test_changed_pictures_of_a_finished_run_are_asked_about_again(folder: Path, go: Starts) -> None:
    go()
    before, asked = go.answers(), go.asked
    draw(folder / "green.png", "blue")
    os.utime(folder / "red.png")
    assert (go().state, go.warnings, go.answers()) == ("already", [], before)
    summary = go(recheck_pictures=True)
    assert go.warnings == ["Line 3: green.png changed since it was asked about; its questions are asked again."]
    after = go.answers()
    assert go.asked == asked + 1
    assert list(after) == [0, 2, 3, 4]
    assert "blue" in after.pop(2)
    assert after == {key: answer for key, answer in before.items() if key != 2}
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (4, {"image_missing": 1})
    assert [row["error"]["code"] for row in go.read("qa.failed.jsonl")] == ["image_missing"]
    assert (go(recheck_pictures=True).state, go.warnings) == ("already", [])


def test_changed_pictures_can_be_reported_only(folder: Path, go: Starts) -> None:
    go()
    before = go.answers()
    draw(folder / "red.png", "blue")
    assert go(recheck_pictures="report").state == "already"
    sentence = "red.png changed since it was asked about; --recheck-pictures asks such rows again."
    assert go.warnings == [f"Line {number}: {sentence}" for number in (1, 5)]
    assert go.answers() == before


def test_answers_about_pictures_that_are_gone_stay(folder: Path, go: Starts) -> None:
    go()
    before = go.answers()
    (folder / "green.png").unlink()
    (folder / "blue.png").write_bytes(b"no picture")
    assert go(recheck_pictures=True).state == "already"
    assert go.warnings == [
        f"Line {row}: {name}.png can't be read any more; the answer stays." for row, name in ((3, "green"), (4, "blue"))
    ]
    assert go.answers() == before


def test_failed_rows_and_changed_pictures_are_asked_in_one_pass(folder: Path, go: Starts) -> None:
    go()
    asked = go.asked
    draw(folder / "missing.png", "green")
    draw(folder / "blue.png", "red")
    summary = go(recheck_pictures=True, retry_failed=True)
    assert (summary.tally.succeeded, summary.tally.failed_total, go.asked) == (5, 0, asked + 2)
    assert list(go.answers()) == [0, 1, 2, 3, 4]


def test_rows_that_are_added_are_asked_too(folder: Path, go: Starts) -> None:
    go(limit=3)
    draw(folder / "red.png", "blue")
    summary = go(recheck_pictures=True)
    assert summary.tally.rows == 5
    assert "blue" in go.answers()[0]
    assert "blue" in go.answers()[4]


def stop_after_one_answer(folder: Path, **flags: Any) -> None:
    with run_simulator(SimSettings(latency=0.0, script=["ok", *["payment"] * 100])) as server:
        with pytest.raises(RunStopped):
            Starts(folder, server)(concurrency=1, **flags)
        assert server.stats()["answered"] == 1


def test_an_interrupted_run_is_finished_first(folder: Path, go: Starts) -> None:
    write_rows(folder, [{"image": "red.png", "id": number} for number in range(3)])
    stop_after_one_answer(folder)
    draw(folder / "red.png", "blue")
    assert go(recheck_pictures=True).tally.succeeded == 3
    [warning] = go.warnings
    assert warning.endswith(": red.png changed since it was asked about; its questions are asked again.")
    assert all("blue" in answer for answer in go.answers().values())


def test_a_picture_that_is_replaced_between_questions_of_a_row_is_named(folder: Path, go: Starts) -> None:
    """The run stops after one of two questions; the other one is asked about the new picture."""
    write_rows(folder, [{"image": "red.png", "id": 0}])
    stop_after_one_answer(folder, questions=2)
    draw(folder / "red.png", "blue")
    go(questions=2)
    sentence = "Line 1: red.png changed since it was asked about before; --recheck-pictures asks such rows again."
    assert go.warnings == [sentence]
    notes = json.loads((folder / "qa.run.json").read_text())["notes"]
    assert "1 picture changed during the run, or since its rows were first asked about." in notes


def test_many_changed_pictures_are_counted(folder: Path, go: Starts) -> None:
    write_rows(folder, [{"image": "red.png", "id": number} for number in range(MAX_NAMED + 5)])
    go()
    draw(folder / "red.png", "blue")
    go(recheck_pictures="report")
    assert len(go.warnings) == MAX_NAMED + 1
    assert go.warnings[-1] == "25 pictures changed."


def test_runs_of_earlier_versions_are_not_compared(folder: Path, go: Starts) -> None:
    go()
    (folder / "qa.details.jsonl").unlink()
    draw(folder / "red.png", "blue")
    assert go(recheck_pictures=True).state == "already"
    assert go.warnings == [
        "The pictures of 4 answers are not compared, because the details of the run do not say which files were sent."
    ]


def test_a_fresh_run_asks_about_all_pictures(go: Starts) -> None:
    with pytest.raises(SettingsError, match="--fresh asks about all pictures"):
        go(fresh=True, recheck_pictures=True)
    assert go(fresh=True, recheck_pictures="report").state == "finished"


def test_a_recheck_does_not_take_an_answer_about_the_old_picture(folder: Path) -> None:
    """A rejected answer of the first run, which would pass now, is about another picture than the present answer."""
    write_rows(folder, [{"image": "red.png", "id": 0}])
    with run_simulator(SimSettings(latency=0.0)) as server:
        go = Starts(folder, server)
        go()
        draw(folder / "red.png", "blue")
        go(recheck_pictures=True)
    [row] = go.answers().values()
    assert "blue" in row
    assert not recheck_run(folder / "qa.jsonl").changes
    assert list(go.answers().values()) == [row]
