"""A recheck that is killed at any moment loses nothing: the next command completes or undoes it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from persqa_client.run.recheck import recheck_run
from tests.run.recheck_runs import finish_run, make_settings, mix
from tests.run.recheck_runs import open_ledger as open_run
from tests.storage.scenario import read_folder
from tests.storage.test_crashes import record_history
from tests.support.commands import python

RESULTS = {"qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl", "qa.run.json", "rows.jsonl"}


def test_a_recheck_killed_at_any_moment_ends_in_the_same_files(tmp_path: Path) -> None:
    """After each change of the folder, and each partial write, whether a run or a recheck comes next."""
    output = finish_run(tmp_path / "whole", mix())
    before = read_folder(tmp_path / "whole")
    history = record_history(tmp_path / "whole", lambda folder: recheck_run(folder / "qa.jsonl"))
    after = read_folder(tmp_path / "whole")
    assert before.keys() == after.keys() == RESULTS
    for name in ("qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl", "qa.run.json"):
        assert before[name] != after[name]
    folders = history.restore_all(tmp_path / "copies")
    assert len(folders) > 20
    ended = []
    for folder in folders:
        shutil.copytree(folder, tmp_path / "run")
        # A run with the same settings finds either the old files or the new ones, all of them.
        settings = make_settings(tmp_path / "whole")
        settings = settings.model_copy(update={"output": tmp_path / "run" / "qa.jsonl"})
        with open_run(settings) as ledger:
            assert ledger.state == "finished"
        found = read_results(tmp_path / "run")
        assert found in (before, after), folder.name
        ended.append(found == after)
        recheck_run(tmp_path / "run" / "qa.jsonl")
        assert read_results(tmp_path / "run") == after, folder.name
        recheck_run(folder / "qa.jsonl")
        assert read_results(folder) == after, folder.name
        shutil.rmtree(tmp_path / "run")
        shutil.rmtree(folder)
    assert sorted(ended) == ended
    assert {*ended} == {False, True}
    assert not recheck_run(output).changes


def read_results(folder: Path) -> dict[str, bytes]:
    """All files besides the lock."""
    return {name: data for name, data in read_folder(folder).items() if not name.endswith(".lock")}


KILLED = """
import os, signal, sys
from pathlib import Path
from persqa_client.run.recheck import recheck_run
left = int(sys.argv[2])
def watch(frame, event, arg):
    global left
    if event == "c_return" and arg in (os.write, os.replace):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
recheck_run(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("calls", [1, 3, 6, 9, 11])
def test_a_killed_process_leaves_the_lock_to_the_next(calls: int, tmp_path: Path) -> None:
    finish_run(tmp_path / "whole", mix())
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    recheck_run(tmp_path / "whole" / "qa.jsonl")
    output = tmp_path / "killed" / "qa.jsonl"
    ended = python(KILLED, output, str(calls))
    assert ended.returncode == -signal.SIGKILL
    recheck_run(output)
    after, expected = (read_results(tmp_path / name) for name in ("killed", "whole"))
    del after["qa.run.json"], expected["qa.run.json"]  # the paths of the input differ
    assert after == expected


def test_a_recheck_that_was_killed_in_its_finish_needs_no_details_afterwards(tmp_path: Path) -> None:
    """They may be removed at any moment. Those that were not yet added begin a new file."""
    finish_run(tmp_path / "whole", mix())
    history = record_history(tmp_path / "whole", lambda folder: recheck_run(folder / "qa.jsonl"))
    for folder in history.restore_all(tmp_path / "copies"):
        (folder / "qa.details.jsonl").unlink()
        recheck_run(folder / "qa.jsonl")
        found = read_folder(folder)
        assert not any(name.endswith((".tmp", ".partial", ".checkpoint")) for name in found), folder.name
        assert sum(found[name].count(b"\n") for name in ("qa.jsonl", "qa.failed.jsonl")) == 13
        lengths = json.loads(found["qa.run.json"])["lengths"]
        # Of a run that had none to add, the length of the removed ones stays.
        assert "qa.details.jsonl" not in found or lengths["details"] == len(found["qa.details.jsonl"])
        assert recheck_run(folder / "qa.jsonl").questions == 13
        shutil.rmtree(folder)
