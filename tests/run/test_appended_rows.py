"""A run goes on with rows that were appended to its input, whatever kind of file they look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(1, 5):
        Image.new("RGB", (40, 30), (50 * number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def go(folder: Path, server: Simulator, *, retry_failed: bool = False) -> Summary:
    return generate(
        folder / "rows",
        folder / "qa.jsonl",
        base_url=server.base_url,
        model="persqa-simulator",
        probes=False,
        retry_failed=retry_failed,
    )


@pytest.mark.parametrize(
    ("first", "appended", "failed"),
    [
        pytest.param('"1.png"\n"2.png"\n', '"a\\p.png"\n"3.png"\n', "bad_line", id="JSON, then paths of Windows"),
        pytest.param("1.png\n2.png\n", '{"image": "3.png"}\n3.png\n', "image_missing", id="paths, then JSON"),
        pytest.param("image,q\n1.png,x\n2.png,x\n", '{"image": "3.png"}\n3.png,x\n', None, id="a table, then JSON"),
        pytest.param("q;image\nx;1.png\nx;2.png\n", '{"image": "4.png"}\nx;3.png\n', None, id="semicolons"),
    ],
)
def test_an_input_stays_of_the_kind_that_it_had_first(
    first: str, appended: str, failed: str | None, folder: Path, simulator: Simulator
) -> None:
    (folder / "rows").write_text(first)
    assert go(folder, simulator).tally.succeeded == 2
    (folder / "rows").write_text(first + appended)
    summary = go(folder, simulator)
    assert summary.tally.succeeded == 3
    assert summary.tally.failed_total == 1
    assert failed is None or dict(summary.tally.failed) == {failed: 1}
    images = [json.loads(line)["image"] for line in (folder / "qa.jsonl").read_text().splitlines()]
    assert images == ["1.png", "2.png", "3.png"]
    # And by the starts after that.
    assert go(folder, simulator).state == "already"
    assert go(folder, simulator, retry_failed=True).tally == summary.tally
    assert go(folder, simulator).state == "already"


def test_a_run_whose_version_did_not_keep_the_kind_is_known_by_size_and_time(
    folder: Path, simulator: Simulator
) -> None:
    (folder / "rows").write_text("1.png\n2.png\n")
    summary = go(folder, simulator)
    path = folder / "qa.run.json"
    fields = json.loads(path.read_text())
    assert fields["stamp"].pop("kind") == "paths"
    path.write_text(json.dumps(fields))
    assert go(folder, simulator).state == "already"
    (folder / "rows").write_text("1.png\n2.png\n3.png\n")
    assert go(folder, simulator).tally.succeeded == summary.tally.succeeded + 1
