"""``persqa run`` over each kind of input, and inputs that stop it before anything is sent or written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import PERSQA, persqa, start

NAMES = ["a", "b", "c"]
ROWS = [{"n": number, "image": [f"photos/{name}.png"]} for number, name in enumerate(NAMES)]
MODEL = "persqa-simulator"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings()) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "array.json").write_text(json.dumps(ROWS))
    (tmp_path / "pretty.json").write_text(json.dumps(ROWS, indent=2))
    (tmp_path / "objects.json").write_text("\n".join(json.dumps(row, indent=2) for row in ROWS))
    (tmp_path / "table.csv").write_text("image,n\n" + "".join(f"photos/{name}.png,1\n" for name in NAMES))
    (tmp_path / "list.txt").write_text("".join(f"photos/{name}.png\n" for name in NAMES))
    return tmp_path


def write_pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for number, name in enumerate(names):
        colour = (number % 251, number // 251 * 30 % 256, number * 7 % 256)
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")


def run(simulator: Simulator, cwd: Path, *inputs: str, output: str = "qa.jsonl") -> subprocess.CompletedProcess[str]:
    return persqa("run", *inputs, "-o", output, "--base-url", simulator.base_url, "--model", MODEL, cwd=cwd)


def pictures_in(path: Path) -> list[str]:
    images = [orjson.loads(line)["image"] for line in path.read_bytes().splitlines()]
    return [image if isinstance(image, str) else image[0] for image in images]


@pytest.mark.parametrize(
    "inputs",
    [
        ["rows.jsonl"],
        ["array.json"],
        pytest.param(["pretty.json"], marks=pytest.mark.slow),
        pytest.param(["objects.json"], marks=pytest.mark.slow),
        ["table.csv"],
        ["list.txt"],
        ["photos/*.png"],
        ["photos/a.png", "photos/b.png", "photos/c.png"],
    ],
    ids=" ".join,
)
def test_each_kind_is_answered_resumed_and_judged_again(inputs: list[str], folder: Path, simulator: Simulator) -> None:
    expected = [f"photos/{name}.png" for name in NAMES]
    first = run(simulator, folder, *inputs)
    assert first.returncode == 0, first.stderr
    assert pictures_in(folder / "qa.jsonl") == expected
    again = run(simulator, folder, *inputs)
    assert (again.returncode, "already finished" in again.stderr) == (0, True), again.stderr
    (folder / "qa.details.jsonl").unlink()
    assert persqa("recheck", "qa.jsonl", cwd=folder).returncode == 0


def test_rows_of_several_inputs_are_in_their_order(folder: Path, simulator: Simulator) -> None:
    result = run(simulator, folder, "rows.jsonl", "photos/", "table.csv", "photos/[ab].png")
    assert result.returncode == 0, result.stderr
    assert pictures_in(folder / "qa.jsonl") == [f"photos/{name}.png" for name in [*NAMES * 3, "a", "b"]]
    members = json.loads((folder / "qa.run.json").read_text())
    assert members["inputs"] == ["rows.jsonl", "photos/", "table.csv", "photos/[ab].png"]


def test_the_values_of_an_array_reach_the_output_as_they_are(folder: Path, simulator: Simulator) -> None:
    row = b'{"image": "photos/a.png", "n": 123456789012345678901234567890, "x": 1.10}'
    (folder / "one.json").write_bytes(b"[\n" + row + b"\n]")
    assert run(simulator, folder, "one.json").returncode == 0
    assert (folder / "qa.jsonl").read_bytes().startswith(row[:-1] + b", ")


def test_without_an_input_the_places_for_it_are_named(tmp_path: Path) -> None:
    for command in ("run", "estimate"):
        result = persqa(command, "-o", "qa.jsonl", cwd=tmp_path)
        assert result.returncode == 2
        advice = "Name a folder or a file, such as photos/, or give input in the file of --config."
        assert f"Missing argument 'INPUT'. {advice}" in result.stderr
    assert "--config" not in persqa("report", "-o", "r.html", cwd=tmp_path).stderr


def test_a_config_file_may_name_several_inputs(folder: Path, simulator: Simulator) -> None:
    (folder / "run.toml").write_text('input = ["list.txt", "table.csv"]\n')
    result = run(simulator, folder, "--config", "run.toml")
    assert result.returncode == 0, result.stderr
    assert len(pictures_in(folder / "qa.jsonl")) == 6
    (folder / "run.toml").write_text('input = "list.txt"\n')
    assert run(simulator, folder, "--config", "run.toml", output="one.jsonl").returncode == 0
    assert len(pictures_in(folder / "one.jsonl")) == 3


def test_python_takes_each_kind_too(folder: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    inputs: dict[str | tuple[str | Path, ...], int] = {
        "table.csv": 3,
        ("pretty.json", Path("photos")): 6,
        ("photos/a.png",): 1,
        "photos/*": 3,
    }
    for rows, count in inputs.items():
        summary = generate(rows, base_url=simulator.base_url, model=MODEL)
        assert (summary.tally.succeeded, summary.tally.failed_total) == (count, 0)


def test_rows_are_piped_in_and_answers_out(folder: Path, simulator: Simulator) -> None:
    flags = ["run", "-", "-o", "-", "--failed", "failed.jsonl", "--base-url", simulator.base_url, "--model", MODEL]
    whole = (folder / "rows.jsonl").read_text() + '{"image": "missing.png"}\n'
    result = persqa(*flags, cwd=folder, input=whole)
    assert result.returncode == 1, result.stderr
    rows = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [row["n"] for row in rows] == [0, 1, 2]
    assert [row["image"] for row in rows] == [[f"photos/{name}.png"] for name in NAMES], "rows stay as they were piped"
    assert orjson.loads((folder / "failed.jsonl").read_bytes())["error"]["code"] == "image_missing"
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(("qa", "-"))) == []
    assert "can't be resumed" in result.stderr


def test_rows_are_piped_in(folder: Path, simulator: Simulator) -> None:
    command = ["run", "-", "-o", "qa.jsonl", "--base-url", simulator.base_url, "--model", MODEL]
    result = persqa(*command, cwd=folder, input=(folder / "list.txt").read_text())
    assert result.returncode == 0, result.stderr
    assert "Warning: Standard input is read only once: if this run is interrupted, it can't be resumed" in result.stderr
    assert len(pictures_in(folder / "qa.jsonl")) == 3


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["other.json"], "add --image-key images"),
        (["book.parquet"], "a Parquet file, but can't be read"),
        (["http://127.0.0.1:9/rows.jsonl"], "is a URL; download it"),
        (["photos/", "absent.csv"], "absent.csv does not exist"),
        (["rows.jsonl", "deeper/rows.jsonl"], "lie in different folders, .* give that folder with --image-root"),
        (["photos/*.webp"], "matches no file; check it"),
        (["phots/"], r"phots does not exist \(did you mean photos/\?\); give"),
    ],
)
def test_other_inputs_are_one_sentence_before_anything_is_written(
    inputs: list[str], message: str, folder: Path, simulator: Simulator
) -> None:
    (folder / "other.json").write_text(json.dumps([{"images": ["photos/a.png"], "messages": []}]))
    (folder / "book.parquet").write_bytes(b"PAR1\0\0\0\0PAR1")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "rows.jsonl").write_text('{"image": "x.png"}\n')
    before = (sorted(os.listdir(folder)), simulator.stats()["requests"])
    result = run(simulator, folder, *inputs)
    assert result.returncode == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr), result.stderr
    assert (sorted(os.listdir(folder)), simulator.stats()["requests"]) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "inputs", [["rows.json"], ["rows.csv"], ["list.txt"], ["rows.csv", "photos/*.png"]], ids=" ".join
)
def test_a_killed_run_loses_no_row_and_writes_none_twice(inputs: list[str], tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(400)]
    write_pictures(tmp_path / "photos", names)
    (tmp_path / "rows.json").write_text(json.dumps([{"image": f"photos/{name}.png"} for name in names], indent=1))
    (tmp_path / "rows.csv").write_text("image\n" + "".join(f"photos/{name}.png\n" for name in names))
    (tmp_path / "list.txt").write_text("".join(f"photos/{name}.png\n" for name in names))
    expected = [f"photos/{name}.png" for name in names * len(inputs)]
    with run_simulator(SimSettings(latency=0.1, jitter=0.5, slots=16)) as server:
        flags = ("--base-url", server.base_url, "--model", MODEL, "--concurrency", "16", "--no-probes")
        for _ in range(5):
            before = server.stats()["answered"]
            process = start("run", *inputs, "-o", "qa.jsonl", *flags, cwd=tmp_path)
            while server.stats()["answered"] < before + 40:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.01)
            process.kill()
            process.communicate()
        assert not (tmp_path / "qa.jsonl").exists()
        assert persqa("run", *inputs, "-o", "qa.jsonl", *flags, cwd=tmp_path).returncode == 0
    assert pictures_in(tmp_path / "qa.jsonl") == expected


def test_a_removed_working_directory_is_one_sentence(tmp_path: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    result = subprocess.run(
        ["bash", "-c", script, "bash", *PERSQA, "run", str(tmp_path / "rows.jsonl"), "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = "Error: The working directory can't be found (No such file or directory); change to it anew.\n"
    assert (result.returncode, result.stderr) == (2, said)
