"""``persqa recheck``: what it prints, its exit codes, and a run that goes on after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.cli.recheck import advise_recheck, format_report
from persqa_client.endpoints.credentials import Credentials, make_endpoints
from persqa_client.errors import START_AGAIN
from persqa_client.inputs.files import FileSource
from persqa_client.run.compose import Composition
from persqa_client.run.plan import RunPlan
from persqa_client.run.recheck import RecheckReport
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import describe_run
from persqa_client.simulator.faults import Choice
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.listing import StoredListing
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import START_POSITION, Row
from tests.run.recheck_runs import CUP, GOOD, KEPT, Judged, finish_run, make_settings, mix, open_ledger, store_rows
from tests.storage.scenario import read_folder
from tests.support.commands import persqa, python

MODEL = "persqa-simulator"
# By question, what the simulator answers.
ANSWERS = {
    "What does <mam> hold?": Choice("<mam> holds a red cup."),
    "What does <mam> say?": Choice("<mam>"),
    "What does <mam> wear?": Choice("The man wears a jacket."),
    "What does <mam> read?": Choice('"<mam> reads a newspaper."'),
}


def test_rows_of_a_folder_are_named_by_their_files(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    listing = StoredListing(lambda: tmp_path / "qa.listing.jsonl")
    listing.extend(str(tmp_path / "photos"), [f"{number}.jpg" for number in range(1, 20)])
    run = json.loads((tmp_path / "qa.run.json").read_text())
    run["identity"]["listing"] = 1
    (tmp_path / "qa.run.json").write_text(json.dumps(run))
    result = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    assert '    photos/2.jpg: "<mam>"' in result.stdout.splitlines(), result.stderr
    messages = [json.loads(line)["error"] for line in (tmp_path / "qa.failed.jsonl").read_text().splitlines()]
    [message] = [error["message"] for error in messages if error["code"] == "only_tag"]
    assert message.startswith("photos/2.jpg: The answer was rejected")


def test_the_report_says_what_moved_with_examples(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    result = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "rechecked     13 questions",
        "now accepted  2",
        "  no_tag      1",
        f'    line 5: "{CUP}"',
        "  loop        1",
        f'    line 8: "{CUP}"',
        "now rejected  1",
        "  only_tag    1",
        '    line 2: "<mam>"',
        "altered       2",
        f'    line 10: ""{CUP}"" → "{CUP}"',
        f'    line 13: "{GOOD}" → "{CUP}"',
        "other code    1",
        "  loop → no_tag 1",
        '    line 15: "A man."',
        "answered      6",
        "failed        7",
    ]
    assert result.stderr == "Written: qa.jsonl, qa.failed.jsonl, qa.details.jsonl and qa.run.json.\n"
    again = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    assert again.stdout.splitlines() == ["rechecked     13 questions", "answered      6", "failed        7"]
    assert again.stderr == "qa.jsonl is unchanged.\n"


def test_a_dry_run_writes_nothing_and_says_so(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    before = read_folder(tmp_path)
    result = persqa("recheck", "qa.jsonl", "--dry-run", cwd=tmp_path)
    assert "now accepted  2" in result.stdout
    assert result.stderr == "Nothing was written. Without --dry-run, qa.jsonl and its files get these changes.\n"
    assert read_folder(tmp_path) == before


def test_all_answers_accepted_is_exit_0(tmp_path: Path) -> None:
    output = finish_run(tmp_path, [KEPT[0], Judged(((CUP, "loop"),), "loop")])
    rows = (tmp_path / "rows.jsonl").read_text().replace("{not json\n", "")
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "rows.jsonl").write_text(rows)
    settings = make_settings(tmp_path / "good")
    with open_ledger(settings) as ledger:
        store_rows(settings, ledger, [KEPT[0], Judged(((CUP, "loop"),), "loop")])
        ledger.finish({"strategy": "direct"})
    assert persqa("recheck", "good/qa.jsonl", cwd=tmp_path).returncode == 0
    assert persqa("recheck", output, cwd=tmp_path).returncode == 1


def test_what_an_earlier_version_did_not_keep_is_reported(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    (tmp_path / "qa.details.jsonl").unlink()
    result = persqa("recheck", "qa.jsonl", "--dry-run", cwd=tmp_path)
    assert [line for line in result.stdout.splitlines() if line.startswith("not kept")] == [
        "not kept      the first answer to 3 questions, asked twice; the last answer was checked",
        "not kept      the ending of 1 rejected answer, which can't be accepted without it",
        "not kept      the raw text of 5 accepted answers; the accepted text was checked",
    ]


def test_terminal_sequences_are_not_shown(tmp_path: Path) -> None:
    finish_run(tmp_path, [Judged((("A man\x1b[2J\nwith a cup.", None),))])
    result = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    assert '"A man�[2J with a cup."' in result.stdout


def test_what_can_not_be_rechecked_is_exit_2_with_the_reason(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    (tmp_path / "names.txt").write_text("Anya\n")
    for arguments, reason in (
        (("other.jsonl",), "there is no run with the output other.jsonl (it does not exist)."),
        (("names.txt",), "there is no run with the output names.txt (names.txt.run.json is missing)."),
        ((".",), ". is a folder: name the output of a run, such as qa.jsonl."),
        (("qa.jsonl", "--names", "names.txt"), "this run had no real names; leave the flag out."),
        (("qa.failed.jsonl",), "qa.failed.jsonl is a file beside the output of a run: name qa.jsonl."),
        (("qa.run.json",), "qa.run.json is a file beside the output of a run: name qa.jsonl."),
    ):
        result = persqa("recheck", *arguments, cwd=tmp_path)
        assert result.returncode == 2
        assert reason in result.stderr
    with (tmp_path / "qa.jsonl").open("a") as file:
        file.write("mine\n")
    result = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    assert result.returncode == 2
    advice = "was not written by a run or was changed since: restore the file as the run left it."
    assert result.stderr.endswith(f"{advice}\n")


@pytest.mark.parametrize(
    ("message", "advised"),
    [
        (f"a is missing: restore it, or {START_AGAIN}", "a is missing: restore it"),
        ("it was made by 2: use that version, or choose another -o", "it was made by 2: use that version"),
        ("the folder can't be written (full): choose another -o", "the folder can't be written (full)"),
        ("--names: leave the flag out", "--names: leave the flag out"),
        (
            "qa is not finished: run its command again, then recheck it",
            "qa is not finished: run its command again, then recheck it",
        ),
    ],
)
def test_a_recheck_gives_no_advice_that_is_for_a_run(message: str, advised: str) -> None:
    assert advise_recheck(message) == advised


@pytest.mark.parametrize(("count", "words"), [(0, "0 questions"), (1, "1 question"), (1200, "1,200 questions")])
def test_one_question_is_in_the_singular(count: int, words: str) -> None:
    assert format_report(RecheckReport(Tally(), count))[0] == f"rechecked     {words}"


def test_a_full_disk_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    """A limit of the size of files stands for the disk: the checkpoint fits, the output does not."""
    finish_run(tmp_path, mix() * 20)
    before = read_folder(tmp_path)
    limit = 8000
    assert len(before["qa.run.json"]) < limit < len(before["qa.jsonl"])
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    result = python(limited + "from persqa_client.cli.main import app; app()", "recheck", "qa.jsonl", cwd=tmp_path)
    assert result.returncode == 2
    assert "qa.jsonl.partial can't be written" in result.stderr
    assert read_folder(tmp_path) == before
    assert persqa("recheck", "qa.jsonl", cwd=tmp_path).returncode == 1


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.0, answers=ANSWERS)) as server:
        yield server


async def run_without_checks(folder: Path, server: Simulator) -> None:
    """A run whose version had no checks, at the simulator."""
    endpoints = make_endpoints([server.base_url], MODEL, Credentials(), {})
    flags: dict[str, Any] = {"strategy": "direct", "probes": False}
    settings = make_run_settings(endpoints, flags, input=folder / "rows.jsonl", output=folder / "qa.jsonl")
    source = FileSource(folder / "rows.jsonl")
    plan = RunPlan(settings, folder)
    ledger = Ledger(
        RunFiles.for_output(folder / "qa.jsonl"),
        RunDescription({**plan.identity(), **plan.digests()}, source.fingerprint()),
        render=plan.make_renderer(),
    )
    with ledger:
        async with Composition(plan) as composition:
            await composition.probe(None, uuid=False)
            pipeline = composition.make_pipeline()
            pipeline = replace(pipeline, task_maker=replace(pipeline.task_maker, checks=()))
            reader = composition.make_row_reader()
            for line, position in source.lines(START_POSITION):
                row = reader.parse(position.number, line)
                assert isinstance(row, Row)
                for task_id in ledger.register_row(line, reader.task_ids(row), position):
                    ledger.store_outcome(await pipeline.answer(row, task_id))
            ledger.finish({"input": "rows.jsonl", **describe_run(composition)})


def test_a_run_at_a_server_is_rechecked_without_a_request_and_goes_on(tmp_path: Path, simulator: Simulator) -> None:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    rows = [json.dumps({"image": "red.png", "question": question}) + "\n" for question in ANSWERS]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    asyncio.run(run_without_checks(tmp_path, simulator))
    assert (tmp_path / "qa.jsonl").read_bytes().count(b"\n") == len(ANSWERS)
    asked = simulator.stats()
    result = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    assert result.returncode == 1
    assert "now rejected  2" in result.stdout
    assert simulator.stats() == asked
    answers = [json.loads(line)["pers_qa"].partition(", Answer: ")[2] for line in read_lines(tmp_path / "qa.jsonl")]
    assert answers == ["<mam> holds a red cup.", "<mam> reads a newspaper."]
    codes = [json.loads(line)["error"]["code"] for line in read_lines(tmp_path / "qa.failed.jsonl")]
    assert codes == ["only_tag", "pronoun_only"]
    run = [*("run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", simulator.base_url, "--model", MODEL)]
    run += ["--strategy", "direct", "--no-probes", "--max-bad-answers", "0"]
    finished = persqa(*run, cwd=tmp_path)
    assert "is already finished" in finished.stderr
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write(rows[0])
    assert persqa(*run, "--retry-failed", cwd=tmp_path).returncode == 1
    details = [json.loads(line) for line in read_lines(tmp_path / "qa.details.jsonl")]
    assert [line["row"] for line in details] == [1, 2, 3, 4, 2, 3, 2, 3, 5]
    assert persqa("recheck", "qa.jsonl", cwd=tmp_path).stderr == "qa.jsonl is unchanged.\n"


def read_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()
