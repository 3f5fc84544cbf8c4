"""Merged shards are the files of one run over the whole input."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.errors import SettingsError
from persqa_client.run.merge import merge_runs
from persqa_client.run.recheck import recheck_run
from persqa_client.simulator.server import Simulator
from persqa_client.storage.checkpoint import Checkpoint, read_run_file, write_checkpoint
from persqa_client.storage.recovery import complete_reopening
from persqa_client.storage.run_files import RunFiles
from tests.run.test_shards import go, write_rows
from tests.storage.scenario import read_folder
from tests.storage.test_crashes import record_history
from tests.support.commands import persqa

SHARDS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Path:
    """A folder with an input, its shards and the run over the whole input."""
    folder = tmp_path_factory.mktemp("made")
    rows = write_rows(folder)
    go(simulator, rows, folder / "whole.jsonl", questions=2)
    for number in range(1, SHARDS + 1):
        go(simulator, rows, folder / f"part-{number}.jsonl", questions=2, shard=f"{number}/{SHARDS}")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def parts(folder: Path) -> list[Path]:
    """In another order than that of the shards, as a pattern of the shell gives them."""
    return sorted(folder.glob("part-*.jsonl"), reverse=True)


def read_run(folder: Path, name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / f"{name}.run.json").read_text())
    return fields


def test_the_merged_files_are_those_of_the_whole_run(folder: Path) -> None:
    report = merge_runs(parts(folder), folder / "qa.jsonl")
    assert (report.count, report.left_out) == (SHARDS, {})
    for ending in ("jsonl", "failed.jsonl", "details.jsonl"):
        assert (folder / f"qa.{ending}").read_bytes() == (folder / f"whole.{ending}").read_bytes()
    merged, whole = read_run(folder, "qa"), read_run(folder, "whole")
    for name in ("identity", "counts", "position", "stamp", "lengths", "folders", "input", "strategy", "limits"):
        assert merged[name] == whole[name], name
    assert [shard["shard"] for shard in merged["merged"]] == ["1/3", "2/3", "3/3"]
    assert merged["seconds"] == pytest.approx(sum(read_run(folder, f"part-{n}")["seconds"] for n in (1, 2, 3)))
    assert not [path.name for path in folder.iterdir() if path.name.endswith((".partial", ".checkpoint", ".tmp"))]


def test_the_merged_run_goes_on_as_one_run(folder: Path, simulator: Simulator) -> None:
    output = folder / "qa.jsonl"
    merge_runs(parts(folder), output)
    assert recheck_run(output).questions == 2 * 24 + 1
    rows = folder / "in.jsonl"
    assert go(simulator, rows, output, questions=2).state == "already"
    Image.new("RGB", (40, 30), (0, 200, 0)).save(folder / "4.png")
    with rows.open("a") as file:
        file.write('{"id": 24, "image": "4.png"}\n')
    summary = go(simulator, rows, output, questions=2, retry_failed=True)
    assert (summary.tally.rows, summary.tally.succeeded, dict(summary.tally.failed)) == (26, 50, {"bad_line": 1})


def test_a_retried_shard_has_its_last_answers(folder: Path, simulator: Simulator) -> None:
    """The details of a retry stand after those of all rows."""
    Image.new("RGB", (40, 30), (0, 200, 0)).save(folder / "4.png")
    for name, shard in (("whole", None), ("part-1", "1/3"), ("part-2", "2/3"), ("part-3", "3/3")):
        go(simulator, folder / "in.jsonl", folder / f"{name}.jsonl", questions=2, shard=shard, retry_failed=True)
    report = merge_runs(parts(folder), folder / "qa.jsonl")
    assert dict(report.tally.failed) == {"bad_line": 1}
    for ending in ("jsonl", "failed.jsonl"):
        assert (folder / f"qa.{ending}").read_bytes() == (folder / f"whole.{ending}").read_bytes()
    assert recheck_run(folder / "qa.jsonl").questions == report.tally.tasks


def test_shards_of_a_folder_have_one_listing(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = Path("photos")
    photos.mkdir()
    for number in range(8):
        Image.new("RGB", (30, 30), (30 * number, 0, 0)).save(photos / f"{number}.png")
    go(simulator, photos, tmp_path / "whole.jsonl")
    outputs = [tmp_path / f"part-{number}.jsonl" for number in (1, 2)]
    for number, output in enumerate(outputs, 1):
        go(simulator, photos, output, shard=f"{number}/2")
    merge_runs(outputs, tmp_path / "qa.jsonl")
    for ending in ("jsonl", "listing.jsonl"):
        assert (tmp_path / f"qa.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()
    assert go(simulator, photos, tmp_path / "qa.jsonl").state == "already"
    with pytest.raises(SettingsError, match=r"image paths in .* are relative to its folder"):
        merge_runs(outputs, tmp_path / "other" / "qa.jsonl")
    assert not (tmp_path / "other").exists()


def test_decisions_are_kept(folder: Path) -> None:
    for number in (1, 3):
        (folder / f"part-{number}.decisions.jsonl").write_text(f'{{"row": {number}}}\n')
    merge_runs(parts(folder), folder / "qa.jsonl")
    assert (folder / "qa.decisions.jsonl").read_text() == '{"row": 1}\n{"row": 3}\n'


def edit_run(folder: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> None:
    fields = read_run(folder, name)
    edit(fields)
    (folder / f"{name}.run.json").write_text(json.dumps(fields))


def lose(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for path in folder.glob(f"{name}*"):
            path.unlink()

    return remove


def double(folder: Path) -> None:
    for path in folder.glob("part-2.*"):
        copied = folder / path.name.replace("part-2", "part-2b")
        copied.write_bytes(path.read_bytes().replace(b"part-2.jsonl", b"part-2b.jsonl"))


def change(name: str, *keys: str, to: object) -> Callable[[Path], None]:
    def edit(fields: dict[str, Any]) -> None:
        for key in keys[:-1]:
            fields = fields[key]
        fields[keys[-1]] = to

    return lambda folder: edit_run(folder, name, edit)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            lose("part-2"), r"shard 2/3 is missing \(not given\): run the command with --shard 2", id="missing"
        ),
        pytest.param(double, r"part-2.jsonl and .*part-2b.jsonl are both shard 2/3", id="twice"),
        pytest.param(
            change("part-3", "identity", "seed", to=7),
            r"the setting seed is 0 in .*part-1.jsonl and 7 in .*part-3.jsonl",
            id="settings",
        ),
        pytest.param(
            change("part-2", "position", "digest", to="0"),
            r"part-1.jsonl and .*part-2.jsonl have read different inputs",
            id="input",
        ),
        pytest.param(
            change("part-2", "position", "number", to=5),
            r"part-2.jsonl has read 5 lines of the input and .*part-1.jsonl 26: run the command of .*part-2.jsonl",
            id="limit",
        ),
        pytest.param(change("part-2", "identity", "shard", to="2"), "part-2.run.json exists, but was", id="spoiled"),
        pytest.param(
            change("part-2", "identity", "shard", to="2/4"), r"is shard 1/3 and .*part-2.jsonl is shard 2/4", id="count"
        ),
        pytest.param(
            lambda folder: (folder / "part-2.details.jsonl").unlink(), r"part-2.details.jsonl is missing", id="details"
        ),
        pytest.param(
            lambda folder: (folder / "qa.jsonl").write_text("own\n"), r"qa.jsonl exists, but was not written", id="own"
        ),
        pytest.param(
            lambda folder: (folder / "qa.decisions.jsonl").write_text("own\n"),
            r"qa.decisions.jsonl exists",
            id="others",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(spoil: Callable[[Path], None], message: str, folder: Path) -> None:
    spoil(folder)
    before = read_folder(folder)
    with pytest.raises(SettingsError, match=message):
        merge_runs(parts(folder), folder / "qa.jsonl")
    assert read_folder(folder) == before


def test_a_run_over_all_rows_is_no_shard(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"whole.jsonl is no shard: its run had no --shard"):
        merge_runs([*parts(folder), folder / "whole.jsonl"], folder / "qa.jsonl")
    with pytest.raises(SettingsError, match=r"whole.jsonl has a run already"):
        merge_runs(parts(folder), folder / "whole.jsonl")


def reopen(output: Path) -> None:
    """Leaves the run as a process that was killed while it extended it."""
    files = RunFiles.for_output(output)
    finished = read_run_file(files)
    assert finished is not None
    checkpoint = finished.to_reopened_checkpoint()
    write_checkpoint(files, checkpoint)
    complete_reopening(files, checkpoint)


def test_an_unfinished_shard_is_named_and_left_out_on_request(folder: Path, simulator: Simulator) -> None:
    reopen(folder / "part-2.jsonl")
    (folder / "part-2.decisions.jsonl").write_text('{"row": 2}\n')
    for given in (parts(folder), [*parts(folder), folder / "part-2.jsonl"]):
        with pytest.raises(SettingsError, match=r"shard 2/3 is missing \(.*part-2.jsonl is not finished\): run"):
            merge_runs(given, folder / "qa.jsonl")
    report = merge_runs(parts(folder), folder / "qa.jsonl", partial=True)
    assert list(report.left_out) == [2]
    assert report.tally.rows == sum(read_run(folder, f"part-{number}")["counts"]["rows"] for number in (1, 3))
    assert recheck_run(folder / "qa.jsonl").questions == report.tally.tasks
    with pytest.raises(SettingsError, match=r"shards was .*1, 3 of 3"):
        go(simulator, folder / "in.jsonl", folder / "qa.jsonl", questions=2)
    with pytest.raises(SettingsError, match=r"qa.jsonl is itself a merge that lacks shards"):
        merge_runs([folder / "qa.jsonl"], folder / "again.jsonl")
    # A later start completes it.
    go(simulator, folder / "in.jsonl", folder / "part-2.jsonl", questions=2, shard="2/3")
    assert merge_runs(parts(folder), folder / "all.jsonl").count == SHARDS


def test_a_merge_killed_at_any_moment_is_completed_or_undone(folder: Path) -> None:
    (folder / "part-1.decisions.jsonl").write_text('{"row": 1}\n')
    history = record_history(folder, lambda copy: merge_runs(parts(copy), copy / "qa.jsonl"))
    after = {name: data for name, data in read_folder(folder).items() if name.startswith("qa.")}
    states = history.restore_all(folder.parent / "states")
    assert len(states) > 10
    for state in states:
        was_finished = (state / "qa.run.json").exists() and not (state / "qa.jsonl.checkpoint").exists()
        if was_finished:
            with pytest.raises(SettingsError, match="has a run already"):
                merge_runs(parts(state), state / "qa.jsonl")
        else:
            merge_runs(parts(state), state / "qa.jsonl")
        found = {name: data for name, data in read_folder(state).items() if name.startswith("qa.")}
        for fields in (found, after):
            fields["qa.run.json"] = json.dumps(json.loads(fields["qa.run.json"]) | {"merged": None}).encode()
        assert found == after, state.name
        assert not [path.name for path in state.iterdir() if path.name.endswith((".partial", ".checkpoint", ".tmp"))]


def test_the_command_takes_a_pattern_and_tells_the_counts(folder: Path) -> None:
    result = persqa("merge", *sorted(folder.glob("part-*.jsonl")), "-o", folder / "qa.jsonl", cwd=folder)
    assert result.returncode == 1, result.stderr
    assert "rows          25, 49 questions" in result.stdout


def test_a_pattern_in_quotes_takes_the_outputs_of_shards_alone(folder: Path) -> None:
    """Beside the input, the run over the whole input, and what each run has besides its output."""
    report = merge_runs([folder / "*.jsonl"], folder / "qa.jsonl")
    assert (report.count, report.left_out) == (SHARDS, {})
    assert (folder / "qa.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
    with pytest.raises(SettingsError, match=r"there is no run with the output .*none-\*\.jsonl"):
        merge_runs([folder / "none-*.jsonl"], folder / "other.jsonl")


def leave_unfinished(folder: Path, name: str, **identity: object) -> Path:
    """A run that was killed at its start, with the settings of the first shard but for these."""
    finished = read_run_file(RunFiles.for_output(folder / "part-1.jsonl"))
    assert finished is not None
    files = RunFiles.for_output(folder / name)
    write_checkpoint(files, Checkpoint(identity={**finished.identity, **identity}, stamp=None))
    return files.output


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        pytest.param({"shard": "3/4"}, r"part-1.jsonl is shard 1/3 and .*more.jsonl is shard 3/4", id="count"),
        pytest.param({"shard": "3/3"}, r"more.jsonl and .*part-3.jsonl are both shard 3/3", id="twice"),
        pytest.param({"shard": "2/3", "seed": 7}, r"seed is 0 in .*part-1.jsonl and 7 in .*more.jsonl", id="settings"),
    ],
)
def test_an_unfinished_run_that_does_not_belong_is_refused(
    identity: dict[str, object], message: str, folder: Path
) -> None:
    given = [path for path in parts(folder) if identity["shard"] != "2/3" or not path.name.startswith("part-2")]
    more = leave_unfinished(folder, "more.jsonl", **identity)
    with pytest.raises(SettingsError, match=message):
        merge_runs([*given, more], folder / "qa.jsonl", partial=True)


def test_an_unfinished_run_of_other_settings_is_not_named_as_a_missing_shard(folder: Path) -> None:
    leave_unfinished(folder, "more.jsonl", shard="2/3", seed=7)
    leave_unfinished(folder, "spoiled.jsonl", shard="2")
    with pytest.raises(SettingsError, match=r"shard 2/3 is missing \(not given\)"):
        merge_runs([folder / "part-1.jsonl", folder / "part-3.jsonl"], folder / "qa.jsonl")


def test_an_interrupted_merge_of_other_shards_is_not_taken_for_the_given_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    target, two = folder / "qa.jsonl", [folder / "part-1.jsonl", folder / "part-2.jsonl"]
    with monkeypatch.context() as patched:
        patched.setattr("persqa_client.storage.finished_writers.complete_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            merge_runs(two, target, partial=True)
    crashed = shutil.copytree(folder, folder.parent / "crashed")
    assert list(merge_runs(two, target, partial=True).left_out) == [3]
    for given, partial, message in (
        (parts(crashed), False, r"has now the result of a merge that was interrupted, and shard 3/3 is missing"),
        ([crashed / "part-1.jsonl"], True, r"a merge that was interrupted, of other shards than the given ones"),
    ):
        state = shutil.copytree(crashed, folder.parent / f"state-{partial}")
        with pytest.raises(SettingsError, match=message):
            merge_runs([state / path.name for path in given], state / "qa.jsonl", partial=partial)


def test_a_decision_after_one_that_a_crash_cut_off_is_kept(folder: Path) -> None:
    (folder / "part-1.decisions.jsonl").write_text('{"row": 1}\n{"row"')
    (folder / "part-2.decisions.jsonl").write_text('{"row": 2}\n')
    merge_runs(parts(folder), folder / "qa.jsonl")
    assert (folder / "qa.decisions.jsonl").read_text() == '{"row": 1}\n{"row"\n{"row": 2}\n'


def test_the_output_is_no_file_of_a_run_and_no_pipe(folder: Path) -> None:
    given = sorted(folder.glob("part-?.jsonl"))
    for name, owner in (("part-1.jsonl", "part-1"), ("part-2.details.jsonl", "part-2"), ("whole.timeline.jsonl", "")):
        message = f"{name} is one of the files of the shard .*{owner}.jsonl" if owner else "file of the output .*whole"
        with pytest.raises(SettingsError, match=message):
            merge_runs(given, folder / name)
    for name, message in (("-", "a merge is written to a file"), ("qa.parquet", "the file will have JSON Lines")):
        result = persqa("merge", *given, "-o", name, cwd=folder)
        assert (result.returncode, message in " ".join(result.stderr.split())) == (2, True), result.stderr


def test_a_shard_under_two_names_of_its_folder_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    given = [Path(path.name) for path in parts(folder)]
    assert merge_runs([*given, folder / "part-1.jsonl"], Path("qa.jsonl")).count == SHARDS


def test_checkpoints_of_other_tools_are_not_read(folder: Path) -> None:
    """The weights of a model may be larger than the memory, and a pipe would not end."""
    with (folder / "model.checkpoint").open("wb") as file:
        file.truncate(1 << 43)
    os.mkfifo(folder / "pipe.checkpoint")
    (folder / "epoch.checkpoint").mkdir()
    with pytest.raises(SettingsError, match=r"shard 2/3 is missing \(not given\)"):
        merge_runs([folder / "part-1.jsonl", folder / "part-3.jsonl"], folder / "qa.jsonl")
