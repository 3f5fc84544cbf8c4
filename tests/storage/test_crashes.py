"""A run that is killed at any moment resumes to the same bytes, and asks no task again that was answered."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from persqa_client.types import TaskId
from tests.storage.scenario import (
    LINES,
    SCENARIOS,
    answer_first_run,
    interrupt_extension,
    interrupt_first_run,
    interrupt_fresh_run,
    interrupt_retry,
    open_ledger,
    read_folder,
    run_to_end,
)
from tests.support.commands import python

# Each of these calls changes the state of the folder.
FILE_CALLS = (os.write, os.replace, os.unlink, os.ftruncate, os.open)

# The finished run that each scenario starts from.
BEFORE = {
    "run": None,
    "reopen": SCENARIOS["first five"],
    "retry": run_to_end,
    "changed pictures": run_to_end,
    "fresh": run_to_end,
    "fresh over an extension": interrupt_extension,
    "fresh over a stopped run": interrupt_first_run,
    "fresh over a stopped fresh run": interrupt_fresh_run,
    "fresh over a retry": interrupt_retry,
}


@dataclass
class FolderHistory:
    """The content of a folder after each call that changes it: what a kill at that moment would leave."""

    folder: Path
    states: list[dict[str, bytes]] = field(default_factory=list)

    def record(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_return" and arg in FILE_CALLS:
            state = read_folder(self.folder)
            if not self.states or state != self.states[-1]:
                self.states.append(state)

    def restore_all(self, target: Path, every: int = 1) -> list[Path]:
        """One folder for each state, and one for each write with only half of its bytes; of one of so many states."""
        folders = []
        for number, state in list(enumerate(self.states))[::every]:
            before = self.states[number - 1] if number else {}
            folders.append(restore(target / f"{number}", state))
            for name, data in state.items():
                old = before.get(name, b"")
                if len(data) > len(old) + 1 and data.startswith(old) and (name in before or name.endswith(".tmp")):
                    torn = data[: (len(old) + len(data)) // 2]
                    folders.append(restore(target / f"{number}-torn", {**state, name: torn}))
        return folders


def restore(folder: Path, state: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in state.items():
        (folder / name).write_bytes(data)
    return folder


def prepare(scenario: str, folder: Path) -> None:
    folder.mkdir()
    if (before := BEFORE[scenario]) is not None:
        before(folder)


def record_history(folder: Path, run: Callable[[Path], object]) -> FolderHistory:
    history = FolderHistory(folder)
    sys.setprofile(history.record)
    try:
        run(folder)
    finally:
        sys.setprofile(None)
    return history


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scenario", BEFORE)
def test_a_run_killed_at_any_moment_resumes_to_the_same_files(scenario: str, every: int, memory_path: Path) -> None:
    """Every state of the folder, and every partial write, is resumed in another order."""
    prepare(scenario, memory_path / "whole")
    history = record_history(memory_path / "whole", SCENARIOS[scenario])
    expected = read_folder(memory_path / "whole")
    names = ["qa.details.jsonl", "qa.failed.jsonl", "qa.jsonl", "qa.run.json"]
    kept = ["qa.1.details.jsonl", "qa.1.failed.jsonl", "qa.1.jsonl", "qa.1.run.json"] if scenario == "fresh" else []
    if scenario.startswith("fresh over"):
        prepare(scenario, memory_path / "before")
        before = sorted(path.name for path in (memory_path / "before").iterdir())
        finished = names if scenario == "fresh over a stopped fresh run" else []
        kept = [name.replace("qa.", "qa.1.", 1) for name in before if name not in finished]
        kept += [name.replace("qa.", "qa.2.", 1) for name in finished]
    assert sorted(expected) == [*kept, *names]
    folders = history.restore_all(memory_path / "copies", every)
    assert len(folders) > 60 // every
    for folder in folders:
        SCENARIOS[scenario](folder, order=9)
        assert read_folder(folder) == expected, folder.name
        shutil.rmtree(folder)


def test_a_resumed_run_can_be_killed_too(memory_path: Path) -> None:
    (memory_path / "whole").mkdir()
    history = record_history(memory_path / "whole", run_to_end)
    expected = read_folder(memory_path / "whole")
    half = restore(memory_path / "half", history.states[len(history.states) // 2])
    resumed = record_history(half, partial(run_to_end, order=5))
    for folder in resumed.restore_all(memory_path / "copies"):
        run_to_end(folder, order=3)
        assert read_folder(folder) == expected, folder.name


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.storage.scenario import SCENARIOS
left = int(sys.argv[3])
def watch(frame, event, arg):
    global left
    if event == "c_return" and arg is os.write:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("scenario", "writes"),
    [
        ("run", 9),
        ("run", 31),
        ("reopen", 12),
        ("retry", 8),
        ("fresh", 20),
        ("fresh over an extension", 2),
        ("fresh over a retry", 2),
    ],
)
def test_the_run_of_a_killed_process_can_be_resumed(scenario: str, writes: int, memory_path: Path) -> None:
    """SIGKILL after a number of writes. The lock is released with the process."""
    prepare(scenario, memory_path / "whole")
    shutil.copytree(memory_path / "whole", memory_path / "killed")
    SCENARIOS[scenario](memory_path / "whole")
    ended = python(KILLED, scenario, memory_path / "killed", str(writes))
    assert ended.returncode == -signal.SIGKILL
    assert (memory_path / "killed" / "qa.jsonl.checkpoint").exists()
    SCENARIOS[scenario](memory_path / "killed", order=4)
    assert read_folder(memory_path / "killed") == read_folder(memory_path / "whole")


def test_tasks_with_an_outcome_before_a_kill_are_not_asked_again(memory_path: Path) -> None:
    """In the first row and in later ones, before and after a checkpoint."""
    task_ids = [task_id for line in LINES for task_id in line.task_ids]
    for count in range(len(task_ids)):
        folder = memory_path / str(count)
        answered = store_some(folder, task_ids, count)
        log = run_to_end(folder)
        assert sorted(log.asked) == sorted(set(task_ids) - set(answered))


def store_some(folder: Path, task_ids: list[TaskId], count: int) -> list[TaskId]:
    """Stores outcomes of ``count`` tasks, the last ones first, with one checkpoint on the way, and does not finish."""
    with open_ledger(folder) as ledger:
        for line in LINES:
            if line.data:
                ledger.register_row(line.data, line.task_ids, line.position)
            else:
                ledger.skip(line.position)
        answered = (task_ids[::-2] + task_ids[::-1][1::2])[:count]
        for number, task_id in enumerate(answered):
            ledger.store_outcome(answer_first_run(task_id))
            if number == count // 2:
                ledger.checkpoint()()
    return answered
