"""From pictures to a set that was looked at and corrected, in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from persqa_client import (
    Result,
    RowError,
    SettingsError,
    export_results,
    generate,
    read_results,
    recheck_results,
    report_results,
)
from persqa_client.cli.main import app
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator
from persqa_client.storage.decisions import read_decisions
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from tests.goldens.surfaces import iterate_commands
from tests.report.runs import WrittenRun, make_failure, make_input_failure, make_record, write_pictures


@pytest.fixture(scope="module")
def run(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three answered rows and a failed one."""
    folder = tmp_path_factory.mktemp("run")
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (64, 64), colour).save(folder / f"{colour}.png")
    rows = [{"image": str(folder / f"{name}.png"), "id": name} for name in ("red", "none", "green", "blue")]
    generate(rows, folder / "qa.jsonl", base_url=simulator.base_url, probes=False, question="What is {tag} like?")
    return folder / "qa.jsonl"


@pytest.fixture
def output(run: Path) -> Path:
    """Without decisions."""
    run.with_name("qa.decisions.jsonl").unlink(missing_ok=True)
    return run


def read_exported(folder: Path) -> list[str]:
    return [row["conversations"][1]["value"] for row in json.loads((folder / "train.json").read_text())]


def test_results_are_read_in_input_order_with_their_pictures(output: Path) -> None:
    results = read_results(output)
    assert [result.row for result in results] == [1, 2, 3, 4]
    assert [result.pictures for result in results] == [
        (output.parent / "red.png",), (), (output.parent / "green.png",), (output.parent / "blue.png",)
    ]  # fmt: skip
    first, failed = results[:2]
    assert (first.question, first.tag, first.code, first.decision) == ("What is <mam> like?", "<mam>", None, None)
    assert first.final_answer == first.answer is not None
    assert (failed.answer, failed.final_answer, failed.code) == (None, None, "image_missing")
    assert failed.message is not None


class Printer:
    """As IPython's, which calls ``_repr_pretty_``."""

    def __init__(self) -> None:
        self.shown = ""

    def text(self, text: str) -> None:
        self.shown += text


def test_a_notebook_shows_what_people_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, "1.png")
    monkeypatch.chdir(tmp_path)
    output = WrittenRun(tmp_path).finish(
        [make_record(1, "<mam> is <b>\x1b[2J.", doubts=("hedged",)), make_failure(2, "refusal")]
    )
    first, failed = read_results(output.name)
    first = first.edit("<mam> sits.", "short", check=False)
    printer = Printer()
    first._repr_pretty_(printer, False)
    assert printer.shown.splitlines() == [
        "row       1",
        "pictures  1.png",
        f"question  {first.question}",
        "answer    <mam> is <b>\\x1b[2J.",
        "doubtful  hedged",
        "decision  edit",
        "text      <mam> sits.",
        "comment   short",
    ]
    page = first._repr_html_()
    assert "&lt;mam&gt; is &lt;b&gt;\\x1b[2J." in page
    assert page.count('<img src="data:image/jpeg;base64,') == 1
    assert "<b>refusal</b> Line 2: Both answers were rejected." in failed._repr_html_()


def test_a_notebook_shows_the_counts_of_a_run() -> None:
    printer = Printer()
    summary = Summary("finished", Tally(rows=2, tasks=2, succeeded=2), 1.0, RunFiles.for_output(Path("qa.jsonl")))
    summary._repr_pretty_(printer, False)
    assert printer.shown.splitlines()[:3] == ["state         finished", "rows          2", "answered      2"]
    assert str(summary) == printer.shown
    assert repr(summary) == "Summary(state='finished', succeeded=2, failed=0, seconds=1.0, output='qa.jsonl')"


def test_what_is_decided_is_exported(output: Path, tmp_path: Path) -> None:
    first, _, second, third = read_results(output)
    changed = second.edit("<mam> is a green square.", "shorter")
    assert (changed.final_answer, second.final_answer) == ("<mam> is a green square.", second.answer)
    first.reject()
    assert third.accept().final_answer == third.answer
    assert [result.final_answer for result in read_results(output)] == [None, None, changed.final_answer, third.answer]
    report = export_results(output, tmp_path / "set", to="llava")
    assert (report.row_count, report.decisions) == (2, {"accept": 1, "edit": 1, "reject": 1})
    assert read_exported(tmp_path / "set") == ["<mam> is a green square.", third.answer]
    read_results(output)[2].withdraw()
    again = read_results(output)[2]
    assert (again.final_answer, again.decision and again.decision.comment) == (second.answer, "shorter")
    assert export_results(str(output), tmp_path / "set", to="llava", force=True).row_count == 2
    assert read_exported(tmp_path / "set")[0] == second.answer


def test_a_failed_question_is_answered_by_an_edit(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png", "2.png")
    output = WrittenRun(tmp_path).finish([make_failure(1), make_record(2), make_input_failure(3)])
    failed, _, unasked = read_results(output)
    assert failed.edit("<mam> holds a plate.").final_answer == "<mam> holds a plate."
    report = export_results(output, tmp_path / "set", to="llava")
    assert (report.row_count, report.decisions, report.failed) == (2, {"edit": 1, "failed": 1}, 1)
    assert read_exported(tmp_path / "set") == ["<mam> holds a cup.", "<mam> holds a plate."]
    for decide, verb in ((unasked.accept, "accept"), (unasked.edit, "edit")):
        with pytest.raises(SettingsError, match=f"there is no text of the model to {verb}"):
            decide("<mam> is here.")


def test_an_edit_that_is_accepted_stays(output: Path, tmp_path: Path) -> None:
    """Also by a result from before the edit, and with the comment of a decision that it does not know."""
    result = read_results(output)[0]
    edited = result.edit("<mam> is bright.", "Too short.")
    for decided in (edited.accept(), result.accept(), result.accept("Good now."), edited.accept()):
        assert decided.final_answer == "<mam> is bright."
    kinds = [(each.kind, each.text, each.comment) for each in read_decisions(output)]
    assert kinds == [("edit", "<mam> is bright.", "Good now.")]
    export_results(output, tmp_path / "set", to="llava")
    assert read_exported(tmp_path / "set")[0] == "<mam> is bright."
    assert result.withdraw().accept().final_answer == result.answer
    assert result.edit("<mam> is dark.").reject().accept().final_answer == result.answer


def test_an_edit_is_checked_as_an_answer_is(output: Path) -> None:
    result = read_results(output)[0]
    with pytest.raises(RowError) as caught:
        result.edit("A red square.")
    assert (caught.value.code, str(caught.value)) == ("no_tag", "The new answer is refused: no <mam> at the beginning.")
    assert len(read_decisions(output)) == 0
    assert result.edit("A red square.", check=False).final_answer == "A red square."


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda result: result.edit(None), "text is of the type NoneType: give text."),
        (lambda result: result.edit("  ", check=False), "text is empty: give the new answer, or leave the answer out"),
        (lambda result: result.reject(5), "comment is of the type int: give text."),
    ],
)
def test_what_is_no_text_is_not_decided(output: Path, call: Callable[[Any], object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        call(read_results(output)[0])
    assert str(caught.value).startswith(words)
    assert len(read_decisions(output)) == 0


def test_a_decision_about_another_answer_is_none(output: Path) -> None:
    result = read_results(output)[0]
    result.reject()
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    other = {**lines[0], "pers_qa": "Question: What is <mam> like?, Answer: <mam> is a square."}
    changed = output.with_name("changed.jsonl")
    changed.write_text("".join(json.dumps(line) + "\n" for line in (other, *lines[1:])))
    changed.with_name("changed.decisions.jsonl").write_bytes(output.with_name("qa.decisions.jsonl").read_bytes())
    first = read_results(changed)[0]
    assert (first.answer, first.decision, first.final_answer) == ("<mam> is a square.", None, "<mam> is a square.")


def test_a_page_and_a_recheck_are_made(output: Path, tmp_path: Path) -> None:
    page = report_results([output], tmp_path / "page.html")
    assert "What is &lt;mam&gt; like?" in page.read_text() or "What is" in page.read_text()
    report = recheck_results(output, dry_run=True)
    assert (report.questions, report.tally.succeeded, dict(report.changes)) == (4, 3, {})


def test_a_split_may_be_a_dict(output: Path, tmp_path: Path) -> None:
    report = export_results(output, tmp_path / "set", to="swift", split={"train": 0.5, "val": 0.5}, by="row")
    assert report.files.keys() == {"train.jsonl", "val.jsonl"}
    assert report.row_count == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": "lava"}, "to: must be 'axolotl', "),
        ({"to": "lava"}, "not 'lava' (did you mean 'llava'?)."),
        ({"to": "llava", "by": "pictures"}, "by: must be 'folder', 'picture', 'row' or 'tag', not 'pictures' (did you"),
        ({"to": "llava", "paths": None}, "paths: must be 'absolute' or 'relative', not None."),
        ({"to": "llava", "split": {"train": 2}}, "split: the share '2' is not a number above 0"),
        ({"to": "llava", "split": ["train"]}, "split is of the type list: give a dict such as {"),
        ({"to": "llava", "sent": True, "pictures": "link"}, 'sent=True makes new pictures, which pictures="link" has'),
        ({"to": "trl", "target": "set.jsonl", "pictures": "copy"}, 'pictures="copy" needs a folder for the pictures: '),
        ({"to": "trl", "outputs": []}, "There is no output of a run: give one"),
        ({"to": "trl", "outputs": [None]}, "The output is of the type NoneType: give the path of the file"),
        ({"to": "trl", "outputs": ""}, "The output is empty: give the path of the file"),
        ({"to": "trl", "outputs": "none.jsonl"}, "there is no output none.jsonl"),
    ],
)
def test_a_wrong_export_is_one_sentence(output: Path, tmp_path: Path, arguments: Any, words: str) -> None:
    arguments = {"outputs": output, "target": tmp_path / "set", **arguments}
    arguments["target"] = tmp_path / arguments["target"]
    with pytest.raises(SettingsError) as caught:
        export_results(**arguments)
    assert words in str(caught.value)
    assert "--" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_functions_have_the_flags_of_the_commands() -> None:
    commands = dict(iterate_commands("", typer.main.get_command(app)))
    no_arguments = {"json", "quiet", "log_file"}
    for command, function, others in (
        ("export", export_results, set()),
        ("report", report_results, set()),
        ("recheck", recheck_results, set()),
    ):
        flags = {each.name for each in commands[command].params} - no_arguments
        assert flags == signature(function).parameters.keys() - others, command


def test_a_result_shows_what_is_asked_and_answered(output: Path) -> None:
    result = read_results(output)[0]
    assert "_row" not in repr(result)
    assert result == replace(result)
    assert isinstance(result, Result)
