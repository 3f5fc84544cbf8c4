"""The index of a served page: the rows of a report, filters and orders, runs that go on or are replaced, decisions."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.outcomes import Outcome, RawAnswer
from persqa_client.report.data import MAX_TEXT_LENGTH, ReportData
from persqa_client.report.followed_run import MISSED_LOOKS, STEP_ROWS
from persqa_client.report.row_index import index_error
from persqa_client.report.row_queries import RowQuery
from persqa_client.report.rows import read_run
from persqa_client.report.served_runs import RowsChanged, ServedRuns, ShownRow
from persqa_client.storage.checkpoint import read_checkpoint, write_checkpoint
from persqa_client.storage.decisions import Decision, DecisionsFile, Subject, read_decisions
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.report.runs import (
    QUESTION,
    WrittenRun,
    add_details,
    make_failure,
    make_input_failure,
    make_record,
    write_pictures,
)
from tests.report.test_browser import FILTERED, LINES, OUTCOMES


@contextmanager
def serve(*outputs: Path) -> Iterator[ServedRuns]:
    runs = ServedRuns(outputs)
    try:
        read_all(runs)
        yield runs
    finally:
        runs.close()


def read_all(runs: ServedRuns) -> None:
    """Looks twice, because a file that was replaced is read anew only if it is still there at the second look."""
    while runs.advance(strict=True) or runs.advance(strict=True):
        pass


def test_an_output_that_is_deleted_is_said_and_its_rows_stay(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path / "run")
    run.folder.mkdir()
    output = run.finish([make_record(1)])
    with serve(output) as runs:
        shutil.rmtree(run.folder)
        for _ in range(2 * MISSED_LOOKS):
            runs.advance()
        gone = f"there is no {output} any more: the rows are those that were read before"
        assert runs.describe()["problems"] == [gone]
        assert list_names(runs) == ["1"]
        assert runs.count_figures({})["timelines"] == [None]
        run.folder.mkdir()
        run.finish([make_record(1), make_record(2)])
        read_all(runs)
        assert (runs.describe()["problems"], list_names(runs)) == ([], ["1", "2"])


def test_the_rows_before_a_line_that_is_no_row_are_shown(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    whole = output.read_bytes()
    with serve(output) as runs:
        output.write_bytes(whole + b"half a l\n")
        for _ in range(4):
            runs.advance()
        described = runs.describe()
        assert (list_names(runs), described["read"]) == (["1", "2"], 1)
        assert described["problems"][0].startswith(f"{output} is not the output of a run (line 3: not JSON")
        output.write_bytes(whole)
        read_all(runs)
        assert (list_names(runs), runs.describe()["problems"]) == (["1", "2"], [])


def test_an_index_that_could_not_be_written_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its rows may be incomplete after a full disk, also when there is room again."""
    output = WrittenRun(tmp_path).finish([make_record(row) for row in range(1, 2 * STEP_ROWS)])
    runs = ServedRuns([output])
    try:
        while not list_names(runs):
            runs.advance(strict=True)
        database = runs._index.database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        while runs.advance():
            pass
        problems = runs.describe()["problems"]
        assert problems == [str(index_error(sqlite3.OperationalError("database or disk is full")))]
        database.execute("PRAGMA max_page_count = 1000000")
        assert not runs.advance()
        assert not runs.group_answers()
        assert runs.describe()["problems"] == problems
        found = runs.find_rows(RowQuery({}))
        row = found["rows"][0]
        runs.decide(ShownRow(found["epoch"], row["key"]), row["answer"], {"kind": "reject"})
        assert [each.kind for each in read_decisions(output)] == ["reject"]
    finally:
        runs.close()


def list_names(runs: ServedRuns, filters: dict[str, str] | None = None, order: str = "input") -> list[str]:
    return [row["id"] for row in runs.find_rows(RowQuery(filters or {}, order, size=200))["rows"]]


def list_rows(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Without the numbers, which are those of a part, and without the group, which only a file has."""
    found = []
    for row in part["rows"]:
        own = {name: value for name, value in row.items() if name not in ("key", "about", "group")}
        own["question"] = part["questions"][row["question"]][0]
        own["pictures"] = [part["pictures"][number][0] for number in row.get("pictures", ())]
        found.append(own)
    return found


def write_retried(folder: Path) -> Path:
    output = WrittenRun(folder).finish([make_record(1), make_record(2), make_failure(3)])
    add_details(output, make_record(1, "<mam> holds a new cup."))
    output.write_text(output.read_text().replace("<mam> holds a cup.", "<mam> holds a new cup.", 1))
    return output


def write_edited(folder: Path) -> Path:
    output = WrittenRun(folder).finish([make_record(1), make_record(2), make_record(3)])
    output.write_text(output.read_text().replace("<mam> holds a cup.", "<mam> is here.", 1))
    return output


RUNS: dict[str, Callable[[Path], Path]] = {
    "all outcomes": lambda folder: WrittenRun(folder).finish(OUTCOMES, LINES),
    "several questions": lambda folder: WrittenRun(folder).finish(
        [make_record(1), make_failure(1, question=1), make_record(2), make_record(2, question=1)]
    ),
    "without details": lambda folder: WrittenRun(folder, details=False).finish([make_record(1), make_failure(2)]),
    "with meta": lambda folder: WrittenRun(folder, details=False, meta=True).finish([make_record(1), make_record(2)]),
    "retried": write_retried,
    "edited": write_edited,
    "unfinished": lambda folder: WrittenRun(folder).leave_unfinished(
        [make_record(1), make_failure(2), make_record(3)], torn=b'{"row":4,"question_nu'
    ),
    "several steps": lambda folder: WrittenRun(folder).finish(
        [make_record(number) if number % 7 else make_failure(number) for number in range(1, STEP_ROWS + 200)]
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_served_page_has_the_rows_of_a_report(tmp_path: Path, name: str) -> None:
    output = RUNS[name](tmp_path)
    data = ReportData([read_run(output)], max_thumbnails=0)
    part: dict[str, list[Any]] = {"rows": [], "questions": [], "pictures": []}
    for each in data.iter_parts():
        for member, values in each.items():
            part[member] += values
    with serve(output) as runs:
        served: list[dict[str, Any]] = []
        page = 0
        while len(served) < data.row_count:
            served += list_rows(runs.find_rows(RowQuery({}, page=page)))
            page += 1
        assert served == list_rows(part)
        described, shared = runs.describe(), data.describe()
        assert described["rows"] == shared["rows"]
        assert described["pictures"] == shared["pictures"]
        for member in ("name", "state", "rows", "without_details", "tag"):
            assert described["runs"][0][member] == shared["runs"][0][member]
        assert described["read"] == 1


@pytest.fixture(scope="module")
def all_outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuns]:
    with serve(WrittenRun(tmp_path_factory.mktemp("run")).finish(OUTCOMES, LINES)) as runs:
        yield runs


@pytest.mark.parametrize(("filters", "rows"), FILTERED)
def test_filters_leave_the_same_rows(all_outcomes: ServedRuns, filters: dict[str, Any], rows: list[str]) -> None:
    chosen = {name.removeprefix("question-"): "1" if value is True else value for name, value in filters.items()}
    order = chosen.pop("sort", "input")
    assert list_names(all_outcomes, chosen, order) == rows
    assert all_outcomes.find_rows(RowQuery(chosen))["count"] == len(rows)
    figures = all_outcomes.count_figures(chosen)
    assert figures["found"] == sum(count for _, count in figures["outcomes"]) == len(rows)


def test_figures_have_the_largest_counts_only(tmp_path: Path) -> None:
    outcomes = [make_record(row, f"<mam> word{row} waves.", asked=f"Is <mam> {row % 39}?") for row in range(1, 41)]
    with serve(WrittenRun(tmp_path).finish([*outcomes, make_failure(41, asked="Is <mam> 1?")])) as runs:
        figures = runs.count_figures({})
    counts, accepted, texts = (dict(figures[name]) for name in ("asked", "accepted", "questions"))
    assert len(counts) == len(accepted) == len(texts) == len(figures["words"]) == 25
    assert (figures["questions_count"], figures["words_count"]) == (39, 40)
    largest = next(number for number, text in texts.items() if text == "Is <mam> 1?")
    assert (counts[largest], accepted[largest]) == (3, 2)


@pytest.mark.parametrize("order", ["input", "shortest", "longest", "tokens", "attempts", "question", "outcome"])
def test_a_row_is_found_at_its_place_in_each_order(all_outcomes: ServedRuns, order: str) -> None:
    names = list_names(all_outcomes, order=order)
    for size in (1, 4):
        for place, name in enumerate(names):
            found = all_outcomes.find_rows(RowQuery({}, order, size=size, keep=name))
            assert (found["kept"], found["page"]) == (place, place // size)
            assert name in [row["id"] for row in found["rows"]]


@pytest.mark.parametrize("name", ["3", "99", "3.1", "o1", "2-1", "", "x", "1'; DROP TABLE rows", "9" * 30])
def test_a_row_that_does_not_fit_is_not_looked_for(all_outcomes: ServedRuns, name: str) -> None:
    found = all_outcomes.find_rows(RowQuery({"outcome": "accepted"}, keep=name))
    assert (found["kept"], found["page"]) == (None, 0)


def test_several_outputs_are_shown_together(tmp_path: Path) -> None:
    outputs = [WrittenRun(tmp_path, f"{name}.jsonl").finish([make_record(1), make_failure(2)]) for name in "ab"]
    with serve(*outputs) as runs:
        assert list_names(runs) == ["1-1", "1-2", "2-1", "2-2"]
        assert list_names(runs, {"run": "1"}) == ["2-1", "2-2"]
        assert runs.find_rows(RowQuery({}, size=1, keep="2-2"))["kept"] == 3


def test_new_rows_of_a_run_appear_until_it_is_finished(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    outcomes: list[Outcome] = [make_record(1), make_failure(2)]
    with serve(run.leave_unfinished(outcomes)) as runs:
        first = runs.find_rows(RowQuery({}))["rows"]
        outcomes += [make_record(3), make_failure(4), make_failure(5), make_record(6)]
        append_to(run, outcomes)
        read_all(runs)
        assert list_names(runs) == ["1", "2", "3", "4", "5", "6"]
        files = RunFiles.for_output(run.output)
        checkpoint = read_checkpoint(files)
        assert checkpoint is not None
        write_checkpoint(files, replace(checkpoint, phase="finishing"))
        files.failed_partial.rename(files.failed)
        read_all(runs)
        assert len(list_names(runs)) == 6
        files.details_partial.rename(files.details)
        files.partial.rename(files.output)
        read_all(runs)
        assert runs.epoch == 0
        files.checkpoint.unlink()
        read_all(runs)
        described = runs.describe()
        assert (runs.epoch, described["runs"][0]["state"], described["rows"]) == (0, "unknown", 6)
        assert runs.find_rows(RowQuery({}))["rows"][:2] == first


def test_a_run_without_failures_goes_on_when_it_is_finished(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    files = RunFiles.for_output(run.output)
    run.leave_unfinished([make_record(1)])
    files.failed_partial.touch()
    with serve(run.output) as runs:
        files.failed_partial.unlink()
        files.details_partial.rename(files.details)
        files.partial.rename(files.output)
        files.checkpoint.unlink()
        read_all(runs)
        assert (runs.epoch, list_names(runs)) == (0, ["1"])


def append_to(run: WrittenRun, outcomes: list[Outcome]) -> None:
    """Puts what a longer run writes behind the partial files, in place."""
    longer = replace(run, folder=run.folder / "longer")
    longer.folder.mkdir()
    longer.leave_unfinished(outcomes)
    ours, theirs = RunFiles.for_output(run.output), RunFiles.for_output(longer.output)
    for name in ("partial", "failed_partial", "details_partial"):
        path = getattr(ours, name)
        with path.open("ab") as file:
            file.write(getattr(theirs, name).read_bytes()[path.stat().st_size :])


def test_a_line_that_is_not_complete_is_left_out(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    with serve(run.leave_unfinished([make_record(1)], torn=b'{"row":2,')) as runs:
        assert list_names(runs) == ["1"]


def test_a_run_without_rows_is_waited_for(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    with serve(run.leave_unfinished([])) as runs:
        assert list_names(runs) == []
        append_to(run, [make_record(1), make_failure(2)])
        read_all(runs)
        assert list_names(runs) == ["1", "2"]


def test_a_run_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    with serve(run.finish([make_record(1), make_failure(2)])) as runs:
        old = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        run.output.rename(tmp_path / "old.jsonl")
        run.finish([make_record(1, "<mam> waves."), make_record(2), make_failure(3)])
        read_all(runs)
        assert runs.epoch == 1
        assert list_names(runs) == ["1", "2", "3"]
        assert runs.find_rows(RowQuery({"search": "waves"}))["count"] == 1
        with pytest.raises(RowsChanged):
            runs.decide(ShownRow(0, old), "<mam> holds a cup.", {"kind": "accept"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no output"),
        (b'{"a": 1}\n', "is not the output of a run"),
        (b"\xff\xfe\n", "is not the output of a run"),
    ],
)
def test_what_is_no_output_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    output = tmp_path / "qa.jsonl"
    if content is not None:
        output.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        ServedRuns([output])


def test_only_pictures_that_rows_name_are_found(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png", "other.png")
    with serve(WrittenRun(tmp_path).finish([make_record(1)])) as runs:
        key = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        picture = runs.find_picture(0, key, 0)
        assert picture is not None
        assert picture.reference == "1.png"
        for place in ((0, key, 1), (0, key, -1), (0, key + 1, 0), (1, key, 0)):
            assert runs.find_picture(*place) is None


SUBJECT = Subject(TaskId(1), ("1.png",), QUESTION)


def test_a_decision_is_stored_shown_and_found_by_filters(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2), make_failure(3)])
    with serve(output) as runs:
        rows = runs.find_rows(RowQuery({}))["rows"]
        runs.decide(ShownRow(0, rows[0]["key"]), rows[0]["answer"], {"kind": "edit", "text": "<mam> holds a mug."})
        runs.decide(ShownRow(0, rows[0]["key"]), rows[0]["answer"], {"comment": " A mug, see 2. "})
        runs.decide(ShownRow(0, rows[2]["key"]), rows[2]["about"], {"kind": "reject"})
        stored = read_decisions(output).find(SUBJECT, "<mam> holds a cup.")
        assert stored is not None
        assert (stored.kind, stored.text, stored.comment) == ("edit", "<mam> holds a mug.", "A mug, see 2.")
        assert runs.find_rows(RowQuery({}))["rows"][0]["decision"]["text"] == "<mam> holds a mug."
        found = {name: list_names(runs, {"decision": name}) for name in ("edit", "reject", "any", "undecided")}
        assert found == {"edit": ["1"], "reject": ["3"], "any": ["1", "3"], "undecided": ["2"]}
        assert list_names(runs, {"decision": "commented"}) == ["1"]
        assert runs.describe()["decisions"] == [["edit", 1], ["reject", 1]]
        runs.decide(ShownRow(0, rows[0]["key"]), rows[0]["answer"], {"kind": "none", "comment": ""})
        assert list_names(runs, {"decision": "any"}) == ["3"]
        assert "decision" not in runs.find_rows(RowQuery({}))["rows"][0]
    report = ReportData([read_run(output)], max_thumbnails=0)
    assert [row.get("decision", {}).get("kind") for row in next(report.iter_parts())["rows"]] == [None, None, "reject"]


def test_the_next_page_begins_after_a_row_that_fits_no_more(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(number) for number in range(1, 6)])
    with serve(output) as runs:
        for row in runs.find_rows(RowQuery({}, size=2))["rows"]:
            runs.decide(ShownRow(0, row["key"]), row["answer"], {"kind": "accept"})
        undecided = {"decision": "undecided"}
        for beyond, expected in (
            ("2", (0, 0, ["3", "4"])),
            ("3", (1, 0, ["3", "4"])),
            ("4", (2, 1, ["5"])),
            ("5", (None, 1, ["5"])),
            ("none", (None, 1, ["5"])),
        ):
            found = runs.find_rows(RowQuery(undecided, page=7, size=2, beyond=beyond))
            assert (found["kept"], found["page"], [row["id"] for row in found["rows"]]) == expected


def test_a_row_that_was_read_anew_is_found_by_its_name(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    with serve(run.finish([make_record(1), make_record(2)])) as runs:
        key = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        run.finish([make_record(1), make_record(2, asked="Where is <mam>?")])
        read_all(runs)
        assert runs.epoch == 1
        answer, change = "<mam> holds a cup.", {"kind": "reject"}
        for shown in (ShownRow(0, key), ShownRow(0, key, "2", QUESTION), ShownRow(0, key, "3", QUESTION)):
            with pytest.raises(RowsChanged):
                runs.decide(shown, answer, change)
        assert runs.check_edit(ShownRow(0, key, "1", QUESTION), answer)["code"] is None
        runs.decide(ShownRow(0, key, "1", QUESTION), answer, change)
        assert list_names(runs, {"decision": "reject"}) == ["1"]


def test_decisions_of_another_program_appear(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    with serve(output) as runs:
        other = DecisionsFile(RunFiles.for_output(output).decisions)
        other.append(Decision(SUBJECT, "<mam> holds a cup.", "reject", comment="blurred", time="2026-01-02T03:04:05Z"))
        version = runs.version
        read_all(runs)
        assert runs.version > version
        assert list_names(runs, {"decision": "reject"}) == ["1"]
        key = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        runs.decide(ShownRow(0, key), "<mam> holds a cup.", {"kind": "accept"})
        decision = read_decisions(output).find(SUBJECT, "<mam> holds a cup.")
        assert decision is not None
        assert (decision.kind, decision.comment) == ("accept", "blurred")
        other.path.unlink()
        read_all(runs)
        assert list_names(runs, {"decision": "any"}) == []


def test_a_decision_about_another_answer_is_stale_and_not_applied(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    output = run.finish([make_record(1)])
    with serve(output) as runs:
        key = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        runs.decide(ShownRow(0, key), "<mam> holds a cup.", {"kind": "accept"})
    run.finish([make_record(1, "<mam> waves.")])
    with serve(output) as runs:
        row = runs.find_rows(RowQuery({}))["rows"][0]
        assert (row["answer"], row["decision"]["stale"], row["decision"]["about"]) == (
            "<mam> waves.",
            True,
            "<mam> holds a cup.",
        )
        assert list_names(runs, {"decision": "stale"}) == list_names(runs, {"decision": "undecided"}) == ["1"]
        with pytest.raises(RowsChanged):
            runs.decide(ShownRow(0, row["key"]), "<mam> holds a cup.", {"kind": "reject"})


@pytest.mark.parametrize(
    "change", [{"kind": "maybe"}, {"kind": "edit", "text": " "}, {"comment": "x" * 10_001}], ids=str
)
def test_what_is_no_decision_is_not_stored(tmp_path: Path, change: dict[str, str | None]) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    with serve(output) as runs:
        key = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        with pytest.raises(ValueError, match=r"decision|comment"):
            runs.decide(ShownRow(0, key), "<mam> holds a cup.", change)
    assert not RunFiles.for_output(output).decisions.exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<mam> holds a red cup.", None),
        ("A cup.", "no_tag"),
        ("She holds a cup.", "pronoun_only"),
        ("<mam>", "only_tag"),
    ],
)
def test_an_edit_is_checked_as_the_answers_of_the_run_were(tmp_path: Path, text: str, code: str | None) -> None:
    with serve(WrittenRun(tmp_path).finish([make_record(1), make_input_failure(2)])) as runs:
        key = runs.find_rows(RowQuery({}))["rows"][0]["key"]
        assert runs.check_edit(ShownRow(0, key), text)["code"] == code
        assert runs.check_edit(ShownRow(0, key + 1), "<mam> waves.")["code"] is None


def test_a_text_that_is_cut_cannot_be_decided_on(tmp_path: Path) -> None:
    text = "na " * MAX_TEXT_LENGTH
    failure = make_failure(2, "loop", raws=(RawAnswer(text, "loop"),), raw=text)
    with serve(WrittenRun(tmp_path).finish([make_record(1), failure])) as runs:
        short, long = runs.find_rows(RowQuery({}))["rows"]
        assert (short.get("long"), long["long"], "about" in long) == (None, True, False)
        assert len(str(long)) < 2 * MAX_TEXT_LENGTH


def test_an_index_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    folder = str(tmp_path / "none")
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    with pytest.raises(SettingsError, match=re.escape(f"the index can't be written in {folder} (")):
        ServedRuns([output])
