"""The decisions file: what a decision applies to, several writers, torn lines, and files of others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError, StorageError
from persqa_client.storage.decisions import Decision, DecisionsFile, Subject, read_decisions
from persqa_client.storage.numbered_files import keep_numbered
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId

SUBJECT = Subject(TaskId(3), ("c.jpg",), "What does <mam> hold?")
ACCEPT = Decision(SUBJECT, "<mam> holds a cup.", "accept", time="2026-01-02T03:04:05Z")
EDIT = replace(ACCEPT, kind="edit", text="<mam> holds a red cup.", comment="The colour was missing.")


def open_file(folder: Path) -> DecisionsFile:
    return DecisionsFile(RunFiles.for_output(folder / "qa.jsonl").decisions)


def test_the_last_decision_about_a_text_wins(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    for decision in (ACCEPT, EDIT):
        file.append(decision)
    decisions = read_decisions(tmp_path / "qa.jsonl")
    assert decisions.find(SUBJECT, ACCEPT.answer) == EDIT
    assert list(decisions) == [EDIT]
    assert (tmp_path / "qa.decisions.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    ("subject", "answer", "is_found"),
    [
        (SUBJECT, "<mam> holds a cup.", True),
        (SUBJECT, "<mam> holds a plate.", False),
        (SUBJECT._replace(question="Where is <mam>?"), "<mam> holds a cup.", False),
        (SUBJECT._replace(images=("d.jpg",)), "<mam> holds a cup.", False),
        (SUBJECT._replace(task_id=TaskId(4)), "<mam> holds a cup.", False),
        (SUBJECT._replace(task_id=TaskId(3, 1)), "<mam> holds a cup.", False),
        (SUBJECT._replace(task_id=None), "<mam> holds a cup.", True),
    ],
)
def test_a_decision_applies_to_its_row_pictures_question_and_answer_only(
    tmp_path: Path, subject: Subject, answer: str, is_found: bool
) -> None:
    open_file(tmp_path).append(ACCEPT)
    decisions = read_decisions(tmp_path / "qa.jsonl")
    assert (decisions.find(subject, answer) == ACCEPT) is is_found


def test_a_decision_about_another_answer_is_stale(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    file.append(EDIT)
    file.refresh()
    assert file.decisions.find_stale(SUBJECT, EDIT.answer) is None
    assert file.decisions.find_stale(SUBJECT, "<mam> holds a plate.") == EDIT
    file.append(replace(EDIT, kind="none", text=None, comment=""))
    file.refresh()
    assert file.decisions.find_stale(SUBJECT, "<mam> holds a plate.") is None
    assert list(file.decisions) == []


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (ACCEPT, ACCEPT.answer),
        (EDIT, EDIT.text),
        (replace(ACCEPT, kind="reject"), None),
        (replace(ACCEPT, kind="none"), None),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_text_to_use(decision: Decision, text: str | None) -> None:
    assert decision.final_text == text


def test_a_torn_line_is_left_out_and_ended_by_the_next_one(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    file.append(ACCEPT)
    with file.path.open("ab") as torn:
        torn.write(b'{"row":4,"question_num')
    assert list(read_decisions(tmp_path / "qa.jsonl")) == [ACCEPT]
    other = replace(EDIT, subject=SUBJECT._replace(task_id=TaskId(5)))
    file.append(other)
    assert file.refresh() == [ACCEPT, other]
    assert list(read_decisions(tmp_path / "qa.jsonl")) == [ACCEPT, other]


def test_broken_lines_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also those that another process appends, and without the end that a crash cut off."""
    file = open_file(tmp_path)
    file.append(ACCEPT)
    with file.path.open("ab") as appended:
        appended.write(b'{"row": 4,\n\n\xff\n{"row": 5,')
    assert list(read_decisions(tmp_path / "qa.jsonl")) == [ACCEPT]
    assert list(read_decisions(tmp_path / "qa.jsonl")) == [ACCEPT]
    message = f"{file.path}: 2 lines are not JSON, so their decisions are left out: 2, 4. Mend or remove the lines."
    assert caplog.messages == [message]
    caplog.clear()
    file.refresh()
    with file.path.open("ab") as appended:
        appended.write(b"\n")
    assert file.refresh() == []
    expected = f"{file.path}: line 5 is not JSON, so its decision is left out. Mend or remove the line."
    assert caplog.messages == [expected]


@pytest.mark.parametrize("line", ["[1]", "null", '"accept"', "3", '{"row": 1}'])
def test_json_that_is_no_decision_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    file = open_file(tmp_path)
    file.append(ACCEPT)
    file.refresh()
    with file.path.open("a") as appended:
        appended.write(f"\n{line}\n")
    for read in (file.refresh, lambda: read_decisions(tmp_path / "qa.jsonl")):
        with pytest.raises(SettingsError, match="not a decision, line 3: "):
            read()


def test_a_last_line_without_a_break_counts_if_it_is_whole(tmp_path: Path) -> None:
    """Editors may save a file so."""
    file = open_file(tmp_path)
    file.append(ACCEPT)
    file.path.write_bytes(file.path.read_bytes().rstrip(b"\n"))
    assert file.refresh() == [ACCEPT]
    file.append(EDIT)
    assert file.refresh() == [EDIT]
    assert list(read_decisions(tmp_path / "qa.jsonl")) == [EDIT]


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    made = [replace(ACCEPT, subject=SUBJECT._replace(task_id=TaskId(number))) for number in range(1, 61)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda decision: open_file(tmp_path).append(decision), made))
    found = read_decisions(tmp_path / "qa.jsonl")
    assert sorted(found, key=lambda each: each.subject.task_id or TaskId(0)) == made


def test_only_new_decisions_are_read_again_unless_the_file_was_replaced(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    assert file.refresh() == []
    file.append(ACCEPT)
    assert (file.refresh(), file.refresh()) == ([ACCEPT], [])
    (tmp_path / "other").write_bytes(file.path.read_bytes().replace(b"accept", b"reject"))
    (tmp_path / "other").replace(file.path)
    assert file.refresh() is None
    assert [each.kind for each in file.decisions] == ["reject"]
    file.path.unlink()
    assert file.refresh() is None
    assert list(file.decisions) == []


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "maybe"},
        {"answer": 3},
        {"images": "abc"},
        {"decision": "edit", "text": None},
        {"row": "three"},
    ],
    ids=str,
)
def test_a_line_that_is_no_decision_is_an_error_and_stays(tmp_path: Path, change: dict[str, object]) -> None:
    file = open_file(tmp_path)
    file.append(ACCEPT)
    line = json.loads(file.path.read_bytes()) | change
    file.path.write_text(f"{json.dumps(line)}\n")
    before = file.path.read_bytes()
    with pytest.raises(SettingsError, match=r"qa\.decisions\.jsonl has a line that is not a decision, line 1: "):
        read_decisions(tmp_path / "qa.jsonl")
    assert file.path.read_bytes() == before


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "qa.decisions.jsonl").mkdir()
    with pytest.raises(SettingsError, match=r"qa\.decisions\.jsonl can't be read"):
        read_decisions(tmp_path / "qa.jsonl")
    file = open_file(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="can't be written"):
        file.append(ACCEPT)


def test_decisions_are_kept_with_the_run_that_they_are_about(tmp_path: Path) -> None:
    open_file(tmp_path).append(ACCEPT)
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    assert files.includes(files.decisions)
    keep_numbered(files, 1)
    assert list(read_decisions(tmp_path / "qa.jsonl")) == []
    assert list(read_decisions(tmp_path / "qa.1.jsonl")) == [ACCEPT]
