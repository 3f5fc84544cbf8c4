"""Which files belong to a run: those of its output, and those of its earlier starts under a number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from persqa_client.storage.checkpoint import Checkpoint, write_checkpoint
from persqa_client.storage.numbered_files import OwnFiles
from persqa_client.storage.run_files import RunFiles
from tests.storage.scenario import IDENTITY, LINES, STAMP, answer_first_run, answer_lines, open_ledger, run_to_end

LIVE = ("qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl", "qa.listing.jsonl", "qa.run.json", "qa.jsonl.journal2")
KEPT = ("qa.1.jsonl", "qa.1.failed.jsonl", "qa.1.details.jsonl", "qa.1.listing.jsonl", "qa.1.run.json")


def own_in(folder: Path, *names: str, output: str = "qa.jsonl") -> list[str]:
    own = OwnFiles(RunFiles.for_output(folder / output))
    return [name for name in names if own.includes(folder / name)]


def write_run_file(folder: Path, output: str) -> None:
    fields = json.loads((folder / "qa.run.json").read_text())
    path = RunFiles.for_output(folder / output).run
    path.write_text(json.dumps({**fields, "output": output}))


def run_afresh(folder: Path) -> None:
    with open_ledger(folder, fresh=True) as ledger:
        answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})


def test_a_name_with_a_number_belongs_to_the_run_once_a_run_is_there(tmp_path: Path) -> None:
    assert own_in(tmp_path, *LIVE, *KEPT, "qa.jsonl.journals", "rows.jsonl") == list(LIVE)
    run_to_end(tmp_path)
    run_afresh(tmp_path)
    assert own_in(tmp_path, *LIVE, *KEPT, "qa.2.jsonl", "qa.1.txt", "qa.1b.jsonl") == [*LIVE, *KEPT]


def test_a_numbered_run_knows_its_whole_family(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    for output in ("qa.1.jsonl", "qa.2.jsonl", "qa.1.1.jsonl"):
        write_run_file(tmp_path, output)
    family = ("qa.jsonl", "qa.1.failed.jsonl", "qa.2.details.jsonl", "qa.1.1.jsonl")
    for output in ("qa.jsonl", "qa.1.jsonl", "qa.1.1.jsonl"):
        assert own_in(tmp_path, *family, "qa.3.jsonl", output=output) == list(family)


@pytest.mark.parametrize("output", ["qa", "qa.NDJSON", "qa.v2.json"])
def test_any_name_of_an_output_has_its_numbers(output: str, tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / output)
    stem = "qa.v2" if output == "qa.v2.json" else "qa"
    run_to_end(tmp_path)
    write_run_file(tmp_path, kept := output.replace(stem, f"{stem}.1"))
    names = (output, kept, f"{stem}.1.failed.jsonl", f"{kept}.partial")
    assert own_in(tmp_path, *names, f"{stem}.2.failed.jsonl", output=files.output.name) == list(names)


def test_a_foreign_run_file_or_a_part_of_another_name_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "qa.1.run.json").write_text('{"tool": "another"}')
    (tmp_path / "qa.2.jsonl.checkpoint").write_text("precious")
    run_to_end(tmp_path)
    write_run_file(tmp_path, "qb.1.jsonl")
    assert own_in(tmp_path, "qa.1.jsonl", "qa.2.jsonl", "qb.1.jsonl") == []
    assert own_in(tmp_path, "sub/qa.jsonl", "sub/qa.1.jsonl") == []


def test_links_to_own_files_are_own_files(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    run_afresh(tmp_path)
    (tmp_path / "other.jsonl").write_text("{}\n")
    (tmp_path / "away").symlink_to(tmp_path)
    for name, target in {"a": "qa.jsonl", "b": "qa.1.jsonl", "c": "other.jsonl"}.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    (tmp_path / "d").hardlink_to(tmp_path / "qa.failed.jsonl")
    (tmp_path / "e").hardlink_to(tmp_path / "other.jsonl")
    assert own_in(tmp_path, "a", "b", "c", "d", "e", "away/qa.1.jsonl", "away/c") == ["a", "b", "d", "away/qa.1.jsonl"]


def test_rests_of_a_killed_process_are_own_files(tmp_path: Path) -> None:
    names = ("qa.run.json.tmp", "qa.jsonl.checkpoint.tmp", "qa.listing.jsonl.partial.tmp")
    assert own_in(tmp_path, *names, "qa.jsonl.tmp") == list(names)


@pytest.mark.parametrize(
    "moved", [{"kept_number": 1, "phase": "finishing"}, {"kept_as": "qa.1.jsonl", "phase": "keeping"}]
)
def test_a_file_that_was_moved_before_a_crash_is_an_own_file(moved: dict[str, object], tmp_path: Path) -> None:
    """The run file, or the checkpoint, is moved last."""
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    write_checkpoint(files, replace(Checkpoint(IDENTITY, STAMP), **moved))  # type: ignore[arg-type]
    names = ("qa.1.details.jsonl", "qa.1.jsonl.journal1")
    assert own_in(tmp_path, *names, "qa.2.details.jsonl", "qa.2.jsonl.journal1") == list(names)


def test_shards_and_what_merges_them_are_of_one_family(tmp_path: Path) -> None:
    shards = ("qa.shard-001-of-002.jsonl", "qa.shard-002-of-002.jsonl", "qa.shard-002-of-002.failed.jsonl")
    assert own_in(tmp_path, *shards) == [], "a data set of the user may have such names, too"
    run_to_end(tmp_path)
    for shard in shards[:2]:
        write_run_file(tmp_path, shard)
    assert own_in(tmp_path, *shards, "qa.shard-003-of-003.jsonl") == list(shards)
    assert own_in(tmp_path, "qa.jsonl", *shards, output=shards[0]) == ["qa.jsonl", *shards]
