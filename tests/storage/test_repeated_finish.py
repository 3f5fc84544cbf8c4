"""The finish of a run can be repeated after an error of the file system, whichever call it was."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from persqa_client.errors import StorageError
from persqa_client.outcomes import Outcome
from persqa_client.storage.ledger import Ledger
from persqa_client.types import TaskId
from tests.storage.scenario import (
    LINES,
    answer_first_run,
    answer_lines,
    answer_retry,
    make_record,
    open_ledger,
    read_folder,
    run_to_end,
)

Answer = Callable[[TaskId], Outcome]
# Each of these calls can fail when the disk is full or a network folder is gone.
FILE_CALLS = (os.write, os.replace, os.unlink, os.open, os.fsync)


@dataclass
class FailingCall:
    """The call of this number, from 1, fails: before it has an effect, or after it."""

    number: int
    event: str
    is_done: bool = False

    def watch(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == self.event and arg in FILE_CALLS:
            self.number -= 1
            if self.number == 0:
                self.is_done = True
                raise OSError(errno.EIO, "Input/output error")


@contextmanager
def fail(call: FailingCall) -> Iterator[None]:
    sys.setprofile(call.watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def open_fresh(folder: Path, before: Answer, answer: Answer) -> Ledger:
    """A fresh run over a finished one, with the outcomes of all its tasks."""
    folder.mkdir()
    with open_ledger(folder) as ledger:
        answer_lines(ledger, LINES[:3], before, every=99)
        ledger.finish({"note": "ours"})
    ledger = open_ledger(folder, fresh=True)
    answer_lines(ledger, LINES[:3], answer, every=99)
    return ledger


@pytest.mark.parametrize(
    ("before", "answer", "event"),
    [
        (answer_first_run, answer_first_run, "c_call"),
        (make_record, answer_first_run, "c_call"),
        (answer_first_run, make_record, "c_return"),
    ],
    ids=["both fail", "new failures", "old failures"],
)
def test_the_finish_of_a_fresh_run_is_repeated_after_any_failed_call(
    before: Answer, answer: Answer, event: str, memory_path: Path
) -> None:
    with closing(open_fresh(memory_path / "whole", before, answer)) as ledger:
        ledger.finish({"note": "fresh"})
    expected = read_folder(memory_path / "whole")
    assert "qa.1.jsonl" in expected
    for number in count(1):
        folder, call = memory_path / f"{number}", FailingCall(number, event)
        with closing(open_fresh(folder, before, answer)) as ledger:
            with fail(call):
                try:
                    ledger.finish({"note": "fresh"})
                except StorageError:
                    assert call.is_done
            ledger.finish({"note": "fresh"})
        assert read_folder(folder) == expected, number
        if not call.is_done:
            break
    assert number > 20


def test_a_repeated_finish_names_the_earlier_run(memory_path: Path) -> None:
    run_to_end(memory_path)
    with open_ledger(memory_path, fresh=True) as ledger:
        answer_lines(ledger, LINES, answer_retry)
        with fail(FailingCall(8, "c_call")), pytest.raises(StorageError):
            ledger.finish({})
        ledger.finish({})
        assert ledger.kept_output == memory_path / "qa.1.jsonl"
