"""Decisions of people after a recheck: they apply to the texts that they are about, and to no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.report.rows import read_run
from persqa_client.run.recheck import recheck_run
from persqa_client.storage.decisions import Decision, DecisionsFile, read_decisions
from persqa_client.storage.run_files import RunFiles
from tests.run.recheck_runs import CUP, GOOD, finish_run, mix
from tests.support.commands import persqa


def accept_all(output: Path) -> DecisionsFile:
    file = DecisionsFile(RunFiles.for_output(output).decisions)
    for row in read_run(output).rows:
        if row.decided_text:
            file.append(Decision(row.subject, row.decided_text, "accept", time="2026-01-02T03:04:05Z"))
    return file


def list_applied(output: Path) -> dict[int, str]:
    return {
        row.task_id.row: row.decided_text
        for row in read_run(output).rows
        if row.task_id is not None and row.decision is not None and row.decision.answer == row.decided_text
    }


def test_decisions_stay_applied_to_the_same_texts(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    file = accept_all(output)
    before, content = list_applied(output), file.path.read_bytes()
    assert len(before) == content.count(b"\n")
    planned = recheck_run(output, dry_run=True)
    report = recheck_run(output)
    after = list_applied(output)
    assert file.path.read_bytes() == content
    assert report.applied_decisions == planned.applied_decisions == len(after)
    assert report.stale_decisions == planned.stale_decisions == len(before) - len(after)
    # An accepted text that is now rejected stays the text that was decided on; altered texts are others.
    assert after[2] == "<mam>"
    assert after.items() < before.items()
    assert {before[row] for row in before.keys() - after.keys()} == {"A man.", f'"{CUP}"', GOOD}
    assert recheck_run(output).stale_decisions == report.stale_decisions


def test_the_report_counts_decisions(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    assert "decisions" not in persqa("recheck", "qa.jsonl", "--dry-run", cwd=tmp_path).stdout
    accept_all(output)
    result = persqa("recheck", "qa.jsonl", cwd=tmp_path)
    line = next(line for line in result.stdout.splitlines() if line.startswith("decisions"))
    count = len(list_applied(output))
    stale = len(read_decisions(output)) - count
    assert line == f"decisions     {count} apply, {stale} stale: their answers changed"


def test_a_foreign_decisions_file_is_named_before_anything_is_written(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    content = output.read_bytes()
    RunFiles.for_output(output).decisions.write_text('{"a": 1}\n')
    with pytest.raises(SettingsError, match="is not a decision"):
        recheck_run(output)
    assert output.read_bytes() == content


@pytest.mark.parametrize(
    "arguments",
    [
        ("recheck", "qa.jsonl", "--dry-run"),
        ("export", "qa.jsonl", "--to", "trl", "-o", "set.jsonl"),
        ("report", "qa.jsonl", "-o", "page.html"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_name_a_broken_line_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    file = accept_all(finish_run(tmp_path, mix()))
    count = file.path.read_bytes().count(b"\n")
    with file.path.open("ab") as appended:
        appended.write(b'{"row": 3,\n{"row": 4')
    result = persqa(*arguments, cwd=tmp_path)
    warnings = [" ".join(each.split()) for each in result.stderr.split("Warning: ")[1:]]
    named = [each for each in warnings if "qa.decisions.jsonl" in each]
    assert len(named) == 1, result.stderr
    assert named[0].startswith(f"qa.decisions.jsonl: line {count + 1} is not JSON, so its decision is left out.")
