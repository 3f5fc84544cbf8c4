"""A run that is killed at any moment goes on to the same bytes, and asks nothing again that was answered."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from persqa_client.types import TaskId
from tests.storage.scenario import LINES, SCENARIOS, Log, fails_at_first, open_ledger, results, run_to_end

# Each of these leaves another state of the folder for a crash to freeze.
STEPS = (os.write, os.replace, os.unlink, os.ftruncate, os.open)

BEFORE = {"run": None, "reopen": SCENARIOS["first five"], "retry": run_to_end}
"""What had come to its end before each act begins."""


@dataclass
class Frozen:
    """Copies of a folder after every step that touches it, as a kill at that moment would leave it."""

    folder: Path
    copies: Path
    states: list[dict[str, bytes]] = field(default_factory=list)

    def watch(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_return" and arg in STEPS:
            state = results(self.folder)
            if not self.states or state != self.states[-1]:
                self.states.append(state)

    def thawed(self) -> list[Path]:
        """A folder for each state; for each write, another one where it got only half of its bytes out."""
        folders = []
        for number, state in enumerate(self.states):
            before = self.states[number - 1] if number else {}
            folders.append(thaw(self.copies / f"{number}", state))
            for name, data in state.items():
                old = before.get(name, b"")
                if len(data) > len(old) + 1 and data.startswith(old) and (name in before or name.endswith(".tmp")):
                    torn = data[: (len(old) + len(data)) // 2]
                    folders.append(thaw(self.copies / f"{number}-torn", {**state, name: torn}))
        return folders


def thaw(folder: Path, state: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in state.items():
        (folder / name).write_bytes(data)
    return folder


def begin(act: str, folder: Path) -> None:
    folder.mkdir()
    if (before := BEFORE[act]) is not None:
        before(folder)


def freeze(act: str, folder: Path, copies: Path) -> tuple[Frozen, Log]:
    begin(act, folder)
    frozen = Frozen(folder, copies)
    sys.setprofile(frozen.watch)
    try:
        log = SCENARIOS[act](folder)
    finally:
        sys.setprofile(None)
    return frozen, log


@pytest.mark.parametrize("act", BEFORE)
def test_a_kill_after_any_step_changes_nothing_in_the_end(act: str, tmp_path: Path) -> None:
    """Every state of the folder, and every torn write, is resumed in another order and compared to the byte."""
    frozen, _ = freeze(act, tmp_path / "whole", tmp_path / "copies")
    expected = results(tmp_path / "whole")
    assert sorted(expected) == ["qa.failed.jsonl", "qa.jsonl", "qa.run.json"]
    folders = frozen.thawed()
    assert len(folders) > 60
    for folder in folders:
        SCENARIOS[act](folder, order=9)
        assert results(folder) == expected, folder.name
        shutil.rmtree(folder)


def test_a_second_crash_on_the_way_back_changes_nothing_either(tmp_path: Path) -> None:
    """Resuming is itself a run that can be killed."""
    frozen, _ = freeze("run", tmp_path / "whole", tmp_path / "copies")
    expected = results(tmp_path / "whole")
    half = thaw(tmp_path / "half", frozen.states[len(frozen.states) // 2])
    again = Frozen(half, tmp_path / "more")
    sys.setprofile(again.watch)
    try:
        run_to_end(half, order=5)
    finally:
        sys.setprofile(None)
    for folder in again.thawed():
        run_to_end(folder, order=3)
        assert results(folder) == expected, folder.name


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


@pytest.mark.parametrize(("act", "step"), [("run", 9), ("run", 31), ("reopen", 12), ("retry", 8)])
def test_a_process_that_is_killed_leaves_a_run_to_go_on_with(act: str, step: int, tmp_path: Path) -> None:
    """For real: SIGKILL after so many writes; the lock goes with the process."""
    begin(act, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    SCENARIOS[act](tmp_path / "whole")
    ended = subprocess.run([sys.executable, "-c", KILLED, act, str(tmp_path / "killed"), str(step)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "qa.jsonl.checkpoint").exists()
    SCENARIOS[act](tmp_path / "killed", order=4)
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


def test_what_was_settled_before_a_kill_is_not_asked_again(tmp_path: Path) -> None:
    """Settled ahead of the head, at it, before and after a checkpoint: all are known to the next process."""
    units = [unit for line in LINES for unit in line.units]
    for count in range(len(units)):
        folder = tmp_path / str(count)
        answered = settle_some(folder, units, count)
        log = run_to_end(folder)
        assert sorted(log.asked) == sorted(set(units) - set(answered))


def settle_some(folder: Path, units: list[TaskId], count: int) -> list[TaskId]:
    """Settles ``count`` units from the last one on, with one checkpoint on the way, and ends like a killed process."""
    with open_ledger(folder) as ledger:
        for line in LINES:
            if line.data:
                ledger.expect(line.data, line.units, line.position)
            else:
                ledger.skip(line.position)
        answered = (units[::-2] + units[::-1][1::2])[:count]
        for number, unit in enumerate(answered):
            ledger.settle(fails_at_first(unit))
            if number == count // 2:
                ledger.checkpoint()()
    return answered
