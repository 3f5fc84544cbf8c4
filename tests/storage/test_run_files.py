"""A run's files have fixed names, and a file that no run wrote is never overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.storage.run_files import RunFiles
from tests.storage.scenario import LINES, answer_first_run, open_ledger, read_folder, run_to_end
from tests.support.cases import each_case


def test_names_are_made_from_the_output() -> None:
    files = RunFiles.for_output(Path("out/qa.jsonl"))
    names = [
        files.failed,
        files.details,
        files.run,
        files.timeline,
        files.timeline_partial,
        files.partial,
        files.failed_partial,
        files.details_partial,
        files.journal_generation(3),
        files.checkpoint,
    ]
    assert [path.name for path in (*names, files.lock)] == [
        "qa.failed.jsonl",
        "qa.details.jsonl",
        "qa.run.json",
        "qa.timeline.jsonl",
        "qa.timeline.jsonl.partial",
        "qa.jsonl.partial",
        "qa.failed.jsonl.partial",
        "qa.details.jsonl.partial",
        "qa.jsonl.journal3",
        "qa.jsonl.checkpoint",
        ".qa.jsonl.lock",
    ]
    assert {path.parent for path in names} == {Path("out")}


@each_case(
    ("name", "failed"),
    [
        ("qa.json", "qa.failed.jsonl"),
        ("qa.NDJSON", "qa.failed.jsonl"),
        ("qa.v2.jsonl", "qa.v2.failed.jsonl"),
        ("qa.txt", "qa.txt.failed.jsonl"),
        ("qa", "qa.failed.jsonl"),
        (".jsonl", ".jsonl.failed.jsonl"),
    ],
)
def test_known_suffixes_are_removed_for_the_stem(name: str, failed: str) -> None:
    assert RunFiles.for_output(Path(name)).failed == Path(failed)


def test_an_output_must_be_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path, reason in {
        Path("/dev/null"): "is a device",
        Path("/dev/stdout"): "is a device",
        tmp_path: "is a folder",
        Path(): "is a folder",
        tmp_path / "pipe": "not a regular file",
        tmp_path / "file" / "qa.jsonl": "can't be created",
        Path("/proc/nowhere/qa.jsonl"): "can't be created",
    }.items():
        with pytest.raises(SettingsError, match=reason):
            RunFiles.for_output(path).prepare()


def test_a_folder_without_write_permission_is_refused() -> None:
    """Nobody can create files in /proc/self, not even root."""
    with pytest.raises(SettingsError, match=r"the folder /proc/self can't be written .*: choose another -o"):
        open_ledger(Path("/proc/self"))


def test_missing_folders_are_created(tmp_path: Path) -> None:
    RunFiles.for_output(tmp_path / "a" / "b" / "qa.jsonl").prepare()
    assert (tmp_path / "a" / "b").is_dir()


def test_the_input_must_not_be_a_file_of_the_run(tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    (tmp_path / "qa.failed.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "qa.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "qa.failed.jsonl")
    results = ("qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl", "qa.details.jsonl.partial")
    for name in (*results, "qa.jsonl.partial", "qa.jsonl.journal12", "link.jsonl", "hard.jsonl"):
        with pytest.raises(SettingsError, match="is one of the files of the output"):
            files.refuse_input(tmp_path / name)
    for name in ("in.jsonl", "qa.jsonl.journals", "qa.jsonl.bak", "."):
        files.refuse_input(tmp_path / name)
    with pytest.raises(SettingsError, match="is a folder: give -o a file in it"):
        RunFiles.for_output(tmp_path).refuse_input(tmp_path)


FOREIGN = (
    *("qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl", "qa.run.json"),
    *("qa.jsonl.partial", "qa.failed.jsonl.partial", "qa.details.jsonl.partial"),
)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", [*FOREIGN, "qa.jsonl.checkpoint", "qa.jsonl.journal1"])
def test_a_file_that_no_run_left_is_never_overwritten(name: str, fresh: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(SettingsError, match="was not written by a run"):
        open_ledger(tmp_path, fresh=fresh)
    assert read_folder(tmp_path) == {name: b"precious"}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", ["qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl"])
def test_a_finished_output_that_was_changed_is_never_overwritten(name: str, fresh: bool, tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with (tmp_path / name).open("a") as file:
        file.write("my own line\n")
    before = read_folder(tmp_path)
    with pytest.raises(SettingsError, match="was not written by a run"):
        open_ledger(tmp_path, fresh=fresh)
    assert read_folder(tmp_path) == before


@pytest.mark.parametrize("fresh", [False, True])
def test_a_partial_that_was_shortened_is_never_overwritten(fresh: bool, tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position)
        for task_id in LINES[0].task_ids:
            ledger.store_outcome(answer_first_run(task_id))
        ledger.checkpoint()()
    (tmp_path / "qa.jsonl.partial").write_text("x")
    with pytest.raises(SettingsError, match="was not written by a run"):
        open_ledger(tmp_path, fresh=fresh)


def test_a_file_that_appears_during_the_run_is_not_overwritten_at_its_end(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        (tmp_path / "qa.jsonl").write_text("precious")
        with pytest.raises(SettingsError, match="was not written by a run"):
            ledger.finish({})
    assert (tmp_path / "qa.jsonl").read_text() == "precious"


def test_two_outputs_do_not_share_a_run_file(tmp_path: Path) -> None:
    """qa.json and qa.jsonl would both be told of in qa.run.json."""
    run_to_end(tmp_path)
    run_file = tmp_path / "qa.run.json"
    run_file.write_text(json.dumps({**json.loads(run_file.read_text()), "output": "qa.json"}))
    with pytest.raises(SettingsError, match=r"belongs to the output qa\.json"):
        open_ledger(tmp_path)


def test_a_file_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    run_file = tmp_path / "qa.run.json"
    run_file.write_text(json.dumps({**json.loads(run_file.read_text()), "format": 99}))
    with pytest.raises(SettingsError, match="another version"):
        open_ledger(tmp_path)


HOLD = """
import sys
from pathlib import Path
from tests.storage.scenario import open_ledger
with open_ledger(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_on_the_same_output_is_refused(tmp_path: Path) -> None:
    """Whether it comes from another process or this one; when the first lets go, the next may."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as first,
    ):
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        with pytest.raises(SettingsError, match=r"another run is writing .*qa\.jsonl"):
            open_ledger(tmp_path)
        first.communicate()
    with open_ledger(tmp_path), pytest.raises(SettingsError, match="another run"):
        open_ledger(tmp_path)
    assert not (tmp_path / ".qa.jsonl.lock").exists()


@pytest.mark.parametrize("state", ["run.json", "jsonl.checkpoint"])
def test_an_output_with_the_name_of_a_file_of_another_run_is_refused(tmp_path: Path, state: str) -> None:
    """The other run would take it for a foreign file, and could not go on."""
    for name in ("qa.jsonl", f"qa.{state}"):
        (tmp_path / name).write_text("")
    for kind in ("failed", "details", "listing", "decisions", "timeline"):
        with pytest.raises(SettingsError, match=rf"qa.{kind}.jsonl is the name of a file of the output .*qa.jsonl"):
            RunFiles.for_output(tmp_path / f"qa.{kind}.jsonl").prepare()
    (tmp_path / "qa.failed.run.json").write_text("")  # of an earlier version
    for name in ("qa.jsonl", "qa.failed.jsonl", "qa.more.jsonl", "other.failed.jsonl"):
        RunFiles.for_output(tmp_path / name).prepare()
