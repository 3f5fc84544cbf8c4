"""The file of a timeline: appended after a kill, kept with the other files of its run, and never one of a user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from persqa_client.errors import StorageError
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.timeline_file import TimelineFile, is_timeline, move_timeline, remove_timeline
from tests.storage.scenario import LINES, announce, answer_first_run, answer_lines, open_ledger

SAMPLE = b'{"t":1.0}\n'


def write_timeline(path: Path, *lines: bytes) -> None:
    file = TimelineFile(path)
    file.append_mark({})
    for line in lines:
        file.append(line)
    file.close()


def test_a_torn_line_is_ended_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "qa.timeline.jsonl"
    write_timeline(path, b'{"t":1.')
    write_timeline(path, SAMPLE)
    lines = path.read_bytes().splitlines()
    assert [json.loads(line).get("timeline") for line in (lines[0], lines[2])] == [1, 1]
    assert lines[1] == b'{"t":1.'
    assert lines[3] + b"\n" == SAMPLE


@pytest.mark.parametrize("content", [b'{"t":1}\n', b"my notes\n", b'{"tool":"other","timeline":1}\n'])
def test_a_file_of_a_user_is_neither_written_nor_moved_nor_removed(content: bytes, tmp_path: Path) -> None:
    own, target = tmp_path / "own", tmp_path / "target"
    own.write_bytes(content)
    write_timeline(target, SAMPLE)
    with pytest.raises(StorageError, match="is not a timeline"):
        TimelineFile(own)
    move_timeline(target, own)
    move_timeline(own, target)
    remove_timeline(own)
    assert own.read_bytes() == content
    assert is_timeline(target)


def test_a_folder_in_its_place_is_no_timeline(tmp_path: Path) -> None:
    assert not is_timeline(tmp_path)
    with pytest.raises(StorageError, match="is not a timeline"):
        TimelineFile(tmp_path)


def test_a_full_file_gets_no_more_lines(tmp_path: Path) -> None:
    path = tmp_path / "qa.timeline.jsonl"
    file = TimelineFile(path, max_bytes=60)
    for _ in range(50):
        file.append(SAMPLE)
    file.close()
    assert 60 <= path.stat().st_size < 60 + len(SAMPLE)


def test_it_has_the_fate_of_the_other_files(tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    with open_ledger(tmp_path) as ledger:
        write_timeline(ledger.files.timeline_partial, SAMPLE)
        answer_lines(ledger, LINES, answer_first_run, order=1)
        ledger.finish({})
    first = files.timeline.read_bytes()
    assert not files.timeline_partial.exists()
    with open_ledger(tmp_path, fresh=True) as ledger:
        write_timeline(ledger.files.timeline_partial, SAMPLE, SAMPLE)
        answer_lines(ledger, LINES, answer_first_run, order=1)
        ledger.finish({})
    assert (tmp_path / "qa.1.timeline.jsonl").read_bytes() == first
    assert len(files.timeline.read_bytes()) > len(first)
    assert not files.timeline_partial.exists()


def test_a_run_without_outcomes_leaves_none(tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    with open_ledger(tmp_path) as ledger:
        write_timeline(ledger.files.timeline_partial, SAMPLE)
    assert not files.timeline_partial.exists()
    assert not files.timeline.exists()


def test_a_fresh_start_drops_that_of_the_unfinished_run(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        write_timeline(ledger.files.timeline_partial, SAMPLE)
        announce(ledger)
        ledger.store_outcome(answer_first_run(LINES[0].task_ids[0]))
    assert ledger.files.timeline_partial.exists()
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert not ledger.files.timeline_partial.exists()
