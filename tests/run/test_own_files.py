"""Rows of folders, patterns and single images are about their own files, whatever the other inputs and roots are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.run.recheck import recheck_run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator

MODEL = "persqa-simulator"
OWN, OTHER = (32, 24), (64, 48)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same path leads to one picture from the working directory, and to another one from ``data``."""
    for folder, size in ((tmp_path / "ph", OWN), (tmp_path / "data" / "ph", OTHER)):
        folder.mkdir(parents=True)
        for number, name in enumerate(("a.png", "b.png")):
            Image.new("RGB", size, (size[0], number * 90, 0)).save(folder / name)
    (tmp_path / "data" / "rows.jsonl").write_text('{"image": "ph/a.png"}\n')
    (tmp_path / "data" / "list.txt").write_text("ph/a.png\n")
    (tmp_path / "data" / "rows.csv").write_text("image\nph/a.png\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def go(inputs: str | list[str], output: str, server: Simulator, **flags: Any) -> Summary:
    return generate(inputs, output, base_url=server.base_url, model=MODEL, probes=False, **flags)


def details_of(output: str) -> list[dict[str, Any]]:
    lines = Path(output.replace(".jsonl", ".details.jsonl")).read_bytes().splitlines()
    latest = {line["row"]: line for line in map(orjson.loads, lines)}
    return [latest[row] for row in sorted(latest)]


def files_of(output: str) -> list[int]:
    """The size of the file of each row."""
    return [line["pictures"][0]["file_bytes"] for line in details_of(output)]


def images(path: str) -> list[str]:
    rows = [orjson.loads(line)["image"] for line in Path(path).read_bytes().splitlines()]
    return [row if isinstance(row, str) else row[0] for row in rows]


def size(path: str) -> int:
    return Path(path).stat().st_size


@pytest.mark.parametrize("listed", ["ph", "ph/*.png", "{}/ph"])
@pytest.mark.parametrize("rows", ["data/rows.jsonl", "data/list.txt", "data/rows.csv"])
def test_a_row_of_a_folder_is_about_its_own_file(rows: str, listed: str, work: Path, simulator: Simulator) -> None:
    go([rows, listed.format(work)], "qa.jsonl", simulator)
    expected = [size("data/ph/a.png"), size("ph/a.png"), size("ph/b.png")]
    assert len(set(expected)) > 1
    assert files_of("qa.jsonl") == expected


@pytest.mark.parametrize("listed", ["ph", "ph/*.png", "ph/a.png"])
def test_an_image_root_is_for_the_rows_of_files(listed: str, work: Path, simulator: Simulator) -> None:
    cases: list[str | list[str]] = [listed, [listed, "data/rows.jsonl"]]
    for number, inputs in enumerate(cases):
        go(inputs, f"{number}.jsonl", simulator, image_root=Path("data"))
        assert files_of(f"{number}.jsonl")[0] == size("ph/a.png")
    assert files_of("1.jsonl")[-1] == size("data/ph/a.png")


@pytest.mark.parametrize("paths", ["as-given", "relative", "absolute", None])
@pytest.mark.parametrize("output", ["out/qa.jsonl", "data/qa.jsonl", "qa.jsonl"])
def test_the_written_path_is_that_of_the_own_file(
    paths: str | None, output: str, work: Path, simulator: Simulator
) -> None:
    go(["data/rows.csv", "ph"], output, simulator, paths=paths)
    go("ph", output.replace("qa", "root"), simulator, paths=paths, image_root=Path("data"))
    for name, files in (("qa", ["data/ph/a.png", "ph/a.png", "ph/b.png"]), ("root", ["ph/a.png", "ph/b.png"])):
        written = images(output.replace("qa", name))
        if paths == "as-given":
            assert written[-2:] == ["ph/a.png", "ph/b.png"]
        else:
            assert [Path(output).parent.joinpath(path).resolve() for path in written] == [work / file for file in files]


def test_retries_and_looks_at_pictures_take_the_own_file(work: Path, simulator: Simulator) -> None:
    inputs = ["data/rows.jsonl", "ph"]
    Path("ph/b.png").write_bytes(b"broken")
    assert go(inputs, "qa.jsonl", simulator).tally.failed_total == 1
    Image.new("RGB", OWN).save("ph/b.png")
    assert go(inputs, "qa.jsonl", simulator, retry_failed=True).tally.succeeded == 3
    assert files_of("qa.jsonl")[-1] == size("ph/b.png")
    before = simulator.stats()["answered"]
    assert go(inputs, "qa.jsonl", simulator, recheck_pictures="ask").state == "already"
    shutil.copy("data/ph/b.png", "ph/a.png")
    go(inputs, "qa.jsonl", simulator, recheck_pictures="ask")
    assert simulator.stats()["answered"] == before + 1, "only the row of the folder has another picture now"
    Path("qa.details.jsonl").unlink()
    assert recheck_run(Path("qa.jsonl")).questions == 3


@pytest.mark.parametrize("listed", ["ph", "ph/*.png"])
def test_the_spelling_of_a_listed_input_changes_nothing(listed: str, work: Path, simulator: Simulator) -> None:
    def asked(output: str) -> list[tuple[str, int]]:
        return [(line["question"], line["seed"]) for line in details_of(output)]

    go(listed, "alone.jsonl", simulator)
    go(["data/rows.jsonl", listed], "qa.jsonl", simulator, limit=2)
    first = asked("qa.jsonl")
    go(["data/rows.jsonl", str(work / listed)], "qa.jsonl", simulator)
    assert asked("qa.jsonl") == [*first, asked("alone.jsonl")[1]]
    assert first[1] == asked("alone.jsonl")[0]
