"""A preview: which rows it asks about, that it writes nothing, and what it tells of the whole."""

from __future__ import annotations

import io
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from persqa_client.cli.preview import describe_all, print_outcome, print_pictures
from persqa_client.inputs.sources import InMemorySource
from persqa_client.outcomes import SentPicture
from persqa_client.run.preview import Sample
from persqa_client.simulator.faults import Choice
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.types import START_POSITION, Row
from tests.report.runs import make_record
from tests.support.commands import persqa

MODEL = "persqa-simulator"


def sample_numbers(rows: int, count: int) -> list[int]:
    sample = Sample(InMemorySource([{"image": f"{number}.jpg"} for number in range(rows)]), count)
    assert sample.total == rows
    assert sample.progress_total() == len(sample.rows)
    return [line.position.number for line in sample.named_lines(START_POSITION)]


@pytest.mark.parametrize("count", [1, 2, 5, 7])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 40, 41, 1000, 4097])
def test_a_sample_is_spread_over_the_input(rows: int, count: int) -> None:
    numbers = sample_numbers(rows, count)
    assert len(numbers) == len(set(numbers)) == min(rows, count)
    assert numbers[0] == 1
    bounds = [*numbers, rows + 1]
    gaps = [after - before for before, after in pairwise(bounds)]
    assert max(gaps) <= 1.5 * rows / len(numbers) + 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        Image.new("RGB", (64, 48), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    lines = [{"image": f"{number}.png", "question": f"What is {{tag}} {number}?"} for number in range(6)]
    text = "\n".join(json.dumps(line) for line in lines)
    (tmp_path / "in.jsonl").write_text(text + '\n\n{"image": "none.png"}\n')
    return tmp_path


def test_a_preview_shows_rows_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    with run_simulator(SimSettings(latency=0)) as server:
        arguments = ("in.jsonl", "--base-url", server.base_url, "--model", MODEL, "--no-probes")
        shown = persqa("run", *arguments, "--preview", "3", cwd=folder)
        priced = ("--price-in", "1000000", "--price-out", "0")
        all_rows = persqa("run", *arguments, "--preview", "50", "-o", "qa.jsonl", *priced, cwd=folder)
    assert sorted(folder.iterdir()) == before
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert [line for line in lines if line[1:3] == "/3"] == ["1/3  line 1", "2/3  line 3", "3/3  line 5"]
    assert "question  What is <mam> 4?" in lines
    assert sum(line.startswith("answer    <mam> ") for line in lines) == 3
    assert any(line.startswith("picture   4.png  (64 x 48, 0 KB") for line in lines)
    assert lines[-2].startswith("3 rows: 3 answered, 0 failed; 3 requests, ")
    assert lines[-1].startswith("All 7 rows, if they are alike: about 7 requests, ")
    # A row that fails gives the exit code of a run with it.
    assert all_rows.returncode == 1
    assert "\nchecks    image_missing  Line 8: none.png does not exist" in all_rows.stdout
    assert "7 rows: 6 answered, 1 failed" in all_rows.stdout
    tokens = re.findall(r"about [\d,.]+ requests, ([\d,]+) tokens in", all_rows.stdout)[-1]
    assert all_rows.stdout.endswith(f"\nCost of all: about {tokens}.00 (1e+06 and 0 a million tokens).\n")
    assert "Cost" not in shown.stdout


def test_a_long_answer_is_indented_on_a_terminal_only() -> None:
    record, shown = make_record(1, f"<mam> holds {'one more cup and ' * 5}a plate."), []
    for is_terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal, width=50, color_system=None, soft_wrap=True)
        print_outcome(record, console)
        shown.append([line.rstrip() for line in stream.getvalue().splitlines()])
    first = next(number for number, line in enumerate(shown[0]) if line.startswith("answer    <mam> holds"))
    assert shown[0][first + 1].startswith(f"{' ' * 10}cup and one more")
    assert f"answer    {record.answer}" in shown[1]


def test_the_figures_of_a_picture_stand_below_a_long_path_on_a_terminal() -> None:
    def show(width: int) -> list[str]:
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=width > 0, width=width or 80, color_system=None, soft_wrap=True)
        row = Row(1, b"{}", (reference,))
        print_pictures(row, [SentPicture("image/png", 512, 300, 61_000, 324)], (), None, console)
        return stream.getvalue().splitlines()

    reference, figures = "photos of the summer/a long name.jpg", "(512 x 300, 61 KB, 324 tokens)"
    assert show(60) == [f"picture   {reference}", f"          {figures}"]
    assert show(79) == show(0) == [f"picture   {reference}  {figures}"]


def test_the_totals_of_one_row_are_in_the_singular() -> None:
    assert [describe_all(rows) for rows in (1, 2)] == ["The only row", "All 2 rows, if they are alike"]


def test_pictures_are_found_beside_the_input(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with run_simulator(SimSettings(latency=0)) as server:
        arguments = ("--base-url", server.base_url, "--model", MODEL, "--no-probes", "--preview", "2", "--limit", "4")
        shown = persqa("run", folder / "in.jsonl", *arguments, cwd=elsewhere)
    assert shown.returncode == 0, shown.stdout
    assert "2/2  line 3\n" in shown.stdout
    assert "All 4 rows, if" in shown.stdout


def test_a_preview_that_stops_shows_its_rows(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"image": "none.png"}\n{"image": "no.png"}\n')
    with run_simulator(SimSettings(latency=0)) as server:
        arguments = ("--base-url", server.base_url, "--model", MODEL, "--no-probes", "--preview", "2")
        shown = persqa("run", "bad.jsonl", *arguments, cwd=folder)
    assert (shown.returncode, shown.stdout.count("image_missing")) == (2, 2)
    assert "None of the" in shown.stderr


def test_a_model_s_text_cannot_command_the_terminal(folder: Path) -> None:
    text = "\x1b]0;title\x07I can't see\x1b[2J it.\u202e"
    script = SimSettings(latency=0, answers={"What is <mam> 0?": Choice(text, "stop")})
    with run_simulator(script) as server:
        shown = persqa(
            "run", "in.jsonl", "--base-url", server.base_url, "--model", MODEL, "--no-probes", "--preview", "1",
            cwd=folder,
        )  # fmt: skip
    assert "\x1b" not in shown.stdout
    assert "\\x1b]0;title\\x07I can't see\\x1b[2J it.\\u202e" in shown.stdout


def test_an_unreachable_server_ends_a_preview_without_advice_to_resume(folder: Path) -> None:
    result = persqa(
        "run", "in.jsonl", "--base-url", "http://127.0.0.1:9/v1", "--model", MODEL,
        "--preview", "2", "--max-outage", "0", cwd=folder,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (3, "")
    assert "resume" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [((), "--output is missing"), (("--dry-run", "--preview", "2"), "give only one of them")],
)
def test_what_is_done_must_be_clear(folder: Path, flags: tuple[str, ...], message: str) -> None:
    result = persqa("run", "in.jsonl", "--base-url", "http://127.0.0.1:9/v1", "--model", MODEL, *flags, cwd=folder)
    assert (result.returncode, message in result.stderr) == (2, True)


def test_a_dry_run_needs_no_output_and_fails_if_no_row_can_be_sent(folder: Path) -> None:
    arguments = ("--base-url", "http://127.0.0.1:9/v1", "--model", MODEL, "--dry-run")
    assert persqa("run", "in.jsonl", *arguments, cwd=folder).returncode == 0
    (folder / "bad.jsonl").write_text('{"image": "none.png"}\n')
    result = persqa("run", "bad.jsonl", *arguments, cwd=folder)
    assert (result.returncode, "would fail: none.png does not exist" in result.stdout) == (2, True)
