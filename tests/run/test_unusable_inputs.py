"""Runs on inputs of which no row, or only a part, can be asked about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.errors import UnusableInput
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator
from tests.support.commands import persqa

GOOD = '{"image": "red.png"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    return tmp_path


def go(
    folder: Path,
    server: Simulator,
    *lines: str,
    max_bad_rows: int = 200,
    questions: int = 1,
    max_inflight_mb: int = 256,
) -> Summary:
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return generate(
        folder / "rows.jsonl",
        folder / "qa.jsonl",
        base_url=server.base_url,
        model="persqa-simulator",
        max_bad_rows=max_bad_rows,
        questions=questions,
        max_inflight_mb=max_inflight_mb,
    )


@pytest.mark.parametrize(
    ("line", "code", "questions"),
    [
        pytest.param("not json", "bad_line", 1, id="not JSON"),
        pytest.param('{"image": ""}', "no_image", 1, id="blank images"),
        pytest.param('{"image": "gone.png"}', "image_missing", 1, id="missing images"),
        pytest.param('{"image": "gone.png"}', "image_missing", 3, id="several questions"),
    ],
)
def test_an_unusable_input_stops_the_run_without_failed_rows(
    line: str, code: str, questions: int, folder: Path, simulator: Simulator
) -> None:
    with pytest.raises(UnusableInput, match=rf"None of the first \d+ rows .* \({code} .* Line 1: ") as stop:
        go(folder, simulator, *[line] * 20_000, questions=questions)
    assert stop.value.code == code
    assert {path.name for path in folder.iterdir()} == {"red.png", "rows.jsonl"}
    assert go(folder, simulator, GOOD).tally.succeeded == 1


def test_many_bad_rows_among_good_ones_fail_alone(folder: Path, simulator: Simulator) -> None:
    """Also if the answer to the good row arrives after them."""
    summary = go(folder, simulator, *["not json"] * 150, GOOD, *["not json"] * 500, GOOD)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (2, {"bad_line": 650})


def test_a_good_row_whose_image_is_loaded_late_counts(folder: Path, simulator: Simulator) -> None:
    Image.effect_noise((3000, 2000), 90).save(folder / "red.png")
    summary = go(folder, simulator, GOOD, *["not json"] * 500)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (1, {"bad_line": 500})


@pytest.mark.parametrize("count", [2, 199])
def test_an_unusable_input_may_be_short(count: int, folder: Path, simulator: Simulator) -> None:
    with pytest.raises(UnusableInput, match=rf"None of the {count} rows .* None of these rows was .* To let them fail"):
        go(folder, simulator, *['{"image": "gone.png"}'] * count)
    assert {path.name for path in folder.iterdir()} == {"red.png", "rows.jsonl"}
    summary = go(folder, simulator, *['{"image": "gone.png"}'] * count, max_bad_rows=0)
    assert dict(summary.tally.failed) == {"image_missing": count}


def test_a_single_row_fails_alone(folder: Path, simulator: Simulator) -> None:
    assert dict(go(folder, simulator, "not json", questions=3).tally.failed) == {"bad_line": 1}


def test_appended_rows_and_retried_ones_fail_alone(folder: Path, simulator: Simulator) -> None:
    gone = '{"image": "gone.png"}'
    go(folder, simulator, gone)
    assert dict(go(folder, simulator, *[gone] * 4).tally.failed) == {"image_missing": 4}
    retried = generate(
        folder / "rows.jsonl",
        folder / "qa.jsonl",
        base_url=simulator.base_url,
        model="persqa-simulator",
        retry_failed=True,
    )
    assert dict(retried.tally.failed) == {"image_missing": 4}


def test_they_may_be_let_fail(folder: Path, simulator: Simulator) -> None:
    summary = go(folder, simulator, *["not json"] * 300, GOOD, max_bad_rows=0)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (1, {"bad_line": 300})


def test_large_rows_are_not_held_in_memory(folder: Path, simulator: Simulator) -> None:
    line = '{"image": [], "text": "%s"}' % ("A" * 100_000)
    with pytest.raises(UnusableInput, match="of them are in the failure file"):
        go(folder, simulator, *[line] * 100, max_bad_rows=90, max_inflight_mb=8)


def test_the_command_ends_with_exit_code_2_and_one_sentence_on_the_row(folder: Path, simulator: Simulator) -> None:
    (folder / "rows.jsonl").write_text("not json\n" * 300_001)
    arguments = ["run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", simulator.base_url, "--model", "persqa-simulator"]
    result = persqa(*arguments, cwd=folder)
    assert result.returncode == 2
    [error] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert re.match(r"Error: None of the first 2\d\d rows could be asked about \(bad_line 2\d\d\), .* Line 1: ", error)
    assert {path.name for path in folder.iterdir()} == {"red.png", "rows.jsonl"}
