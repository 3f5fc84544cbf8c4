"""What a finished run prints: reasons of failures, a few rows, and the command that shows all of them."""

from __future__ import annotations

import io
import json
import re
import signal
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from persqa_client.cli.exits import EXIT_INTERRUPTED
from persqa_client.cli.results import describe_sample, find_reasons, print_results, read_samples, report_result
from persqa_client.config import Endpoint, Recipe
from persqa_client.inputs.sources import ImagesSource
from persqa_client.run.run import Run
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import Summary, list_results
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from persqa_client.storage.tally import Tally
from tests.support.commands import persqa, start


@pytest.mark.parametrize(
    ("count", "numbers"), [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2]), (300, [0, 100, 200])]
)
def test_samples_are_spread_over_the_output(tmp_path: Path, count: int, numbers: list[int]) -> None:
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps({"n": f"{number:03}"}) + "\n" for number in range(count)))
    found = [int(row["n"]) for row in read_samples(tmp_path / "qa.jsonl")]
    assert len(found) == len(numbers)
    assert all(abs(one - other) <= 1 for one, other in zip(found, numbers, strict=True))


def test_files_that_cannot_be_read_have_no_samples(tmp_path: Path) -> None:
    (tmp_path / "qa.jsonl").write_bytes(b"\xff\n")
    assert read_samples(tmp_path / "qa.jsonl") == read_samples(tmp_path / "none.jsonl") == []
    assert find_reasons(tmp_path / "qa.jsonl", {"refusal"}) == find_reasons(tmp_path / "none.jsonl", {"refusal"}) == {}


def test_a_sample_is_one_short_line_without_control_characters() -> None:
    row = {"image": ["a\x1b.jpg", "b.jpg"], "pers_qa": "Question: Who?, Answer: <mam>\n\x1b[2J" + "x" * 400}
    shown = describe_sample(row, Recipe())
    assert shown.startswith("a\\x1b.jpg: Question: Who?, Answer: <mam> \\x1b[2Jxxx")
    assert (len(shown), shown[-1]) == (240, "…")
    data = describe_sample({"image": "data:image/png;base64," + "A" * 400, "pers_qa": "<mam> sits."}, Recipe())
    assert data == "data:image/png;base64,… (400 characters): <mam> sits."


def test_printed_results_have_no_characters_that_a_terminal_obeys() -> None:
    for is_terminal in (False, True):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal, width=100, color_system=None)
        print_results([("a\u202eb", "c\u202ed\x9be")], console)
        assert stream.getvalue().split() == ["a\\u202eb", "c\\u202ed\\x9be"]


def test_a_terminal_breaks_no_path_and_no_command() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=30, color_system=None)
    words, path, command = "words that need two lines", "a/" * 20, "persqa run " * 3
    print_results([("rows", words), ("output", path), ("to run it", command)], console)
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "rows       words that need two",
        "           lines",
        f"output     {path}",
        f"to run it  {command}".rstrip(),
    ]


def test_a_terminal_breaks_no_path_in_a_text_and_chinese_between_letters() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=30, color_system=None)
    path, answer = "photos/" + "a" * 30 + ".jpg", "<mam>坐在一张木制的椅子上，看书。"
    print_results([("  code", f"2; Line 5: {path} is empty."), ("sample", f"图/a.jpg: 回答：{answer}")], console)
    assert stream.getvalue().splitlines() == [
        "  code  2; Line 5:",
        f"        {path}",
        "        is empty.",
        "sample  图/a.jpg: 回答：<mam>",
        "        坐在一张木制的椅子上，",
        "        看书。",
    ]


def test_the_result_names_reasons_and_rows_and_how_to_look(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    lines = [{"image": "a.png", "n": number} for number in range(8)] + [{"image": "none.png"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with run_simulator(SimSettings(latency=0)) as server:
        flags = ("--base-url", server.base_url, "--model", DEFAULT_MODEL, "--no-probes", "--price-in", "2")
        result = persqa("run", "in.jsonl", "-o", "my answers.jsonl", *flags, "--price-out", "1", cwd=tmp_path)
    assert result.returncode == 1
    shown = result.stdout.splitlines()
    assert "  image_missing 1; Line 9: none.png does not exist in the working directory." in shown
    assert "timeline        my answers.timeline.jsonl" in shown
    assert any(re.fullmatch(r"cost            0\.00\d+, at 2 and 1 a million tokens", line) for line in shown)
    samples = [line for line in shown if line.startswith("sample")]
    assert len(samples) == 3
    assert all(re.match(r"sample +a\.png: Question: .+, Answer: <mam> ", line) for line in samples)
    # The longest label gives the column.
    assert shown[-2:] == [
        "to ask again    the same command with --retry-failed",
        "to look at it   persqa view 'my answers.jsonl'",
    ]
    looked = start("view", "my answers.jsonl", cwd=tmp_path)
    assert looked.stdout.readline().startswith("http://127.0.0.1:")
    looked.send_signal(signal.SIGINT)
    looked.communicate(20)
    assert looked.returncode == 0


def test_counts_of_zero_are_left_out_but_that_of_the_failures() -> None:
    summary = Summary("finished", Tally(rows=2, tasks=2, succeeded=2), 0.5)
    assert list_results(summary) == [("rows", "2"), ("answered", "2"), ("failed", "0"), ("time", "0:00:00")]


@pytest.mark.parametrize("rows", [0, 2])
def test_a_run_that_is_stopped_before_its_first_row_has_no_results(
    rows: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    settings = make_run_settings(
        [Endpoint(base_url="http://127.0.0.1:9/v1", model="m")], {}, output=tmp_path / "qa.jsonl"
    )
    run = Run(settings, ImagesSource([str(tmp_path / "a.png")], "image"))
    summary = Summary("interrupted", Tally(rows=rows, tasks=rows), 17.0, findings=("final concurrency: 4",))
    assert report_result(run, summary) == EXIT_INTERRUPTED
    assert ("final concurrency" in capsys.readouterr().out) == bool(rows)
