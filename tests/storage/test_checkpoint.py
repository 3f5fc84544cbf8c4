"""Where the paths of an earlier run start."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.storage.checkpoint import find_recorded_roots, merge_folders
from persqa_client.types import Json
from tests.storage.scenario import LINES, answer_first_run, answer_lines, open_ledger

FOLDERS: Json = {"working_directory": "/w", "image_roots": ["/w/in", "/w"], "paths": "as-given"}
ROOTS = (Path("/w/in"), Path("/w"))


def finish_run(folder: Path, folders: Json | None) -> None:
    with open_ledger(folder, folders=folders) as ledger:
        answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})


def test_the_roots_of_the_run_that_wrote_a_file_are_found(tmp_path: Path) -> None:
    finish_run(tmp_path, FOLDERS)
    assert find_recorded_roots(tmp_path / "qa.jsonl") == ROOTS
    assert find_recorded_roots(tmp_path / "qa.failed.jsonl") == ROOTS
    for other in ("rows.jsonl", "qa.details.jsonl", "qa", "qa.failed.failed.jsonl"):
        assert find_recorded_roots(tmp_path / other) == (), other


def test_the_checkpoint_of_an_unfinished_run_has_them_too(tmp_path: Path) -> None:
    with open_ledger(tmp_path, folders=FOLDERS) as ledger:
        answer_lines(ledger, LINES[:5], answer_first_run)
    assert find_recorded_roots(tmp_path / "qa.failed.jsonl.partial") == ROOTS
    with open_ledger(tmp_path, folders={**FOLDERS, "working_directory": "/x", "image_roots": ["/x"]}) as ledger:
        assert ledger.folders == {**FOLDERS, "working_directory": "/x", "image_roots": ["/x", "/w/in", "/w"]}


@pytest.mark.parametrize("data", [b"", b"no json", b"[]", b'{"folders": 1}', b'{"folders": {}}', b'{"output": "b"}'])
def test_a_file_that_says_nothing_gives_no_roots(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "qa.run.json").write_bytes(data)
    (tmp_path / "qa.jsonl.checkpoint").mkdir()
    assert find_recorded_roots(tmp_path / "qa.jsonl") == ()


def test_paths_that_resolve_where_they_are_need_no_roots(tmp_path: Path) -> None:
    finish_run(tmp_path, {**FOLDERS, "paths": "relative"})
    assert find_recorded_roots(tmp_path / "qa.failed.jsonl") == ()


def test_a_run_of_an_earlier_version_has_its_paths_as_given(tmp_path: Path) -> None:
    finish_run(tmp_path, None)
    with open_ledger(tmp_path, folders={**FOLDERS, "paths": "resolvable"}) as ledger:
        assert ledger.folders == FOLDERS
    assert merge_folders(FOLDERS, None) == FOLDERS
