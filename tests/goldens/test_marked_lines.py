"""A run that commit c64eb00 left unfinished goes on, although the package now reads some of its lines otherwise.

``runs/marked``: two questions for each of eight rows; lines 3 and 5 begin with a byte order mark, which that version
refused as no JSON. The run was killed when 6 questions were answered, and no row was written.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.goldens.killed import RUNS
from tests.goldens.scenarios import PICTURES
from tests.goldens.server import MODEL, RecordingServer
from tests.support.commands import persqa

FLAGS = ("--concurrency", "8", "--no-uuid", "--questions", "2", "--no-probes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(PICTURES, tmp_path, dirs_exist_ok=True)
    shutil.copytree(RUNS / "marked", tmp_path, dirs_exist_ok=True)
    shutil.copyfile(PICTURES / "a.png", tmp_path / "late.png")
    return tmp_path


def read_journaled(folder: Path) -> set[tuple[int, int]]:
    """The answered questions of the journal."""
    entries = map(json.loads, (folder / "out.jsonl.journal1").read_bytes().splitlines())
    return {(entry["row"], entry["question_number"]) for entry in entries if "answer" in entry}


def test_lines_that_an_earlier_version_could_not_read_are_asked(folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text().splitlines()
    counts = {number: 1 if '"question"' in line else 2 for number, line in enumerate(lines, 1) if line}
    every = {(number, which) for number, count in counts.items() for which in range(count)}
    answered = read_journaled(folder)
    assert len(answered) == 6
    with RecordingServer(salt=None) as server:
        result = persqa(
            *("run", "rows.jsonl", "-o", "out.jsonl", "--base-url", server.url, "--model", MODEL, *FLAGS), cwd=folder
        )
    assert (result.returncode, result.stderr.count("changed")) == (0, 0), result.stderr
    assert len(server.seeds) == len(every - answered)
    output = [json.loads(line)["n"] for line in (folder / "out.jsonl").read_bytes().splitlines()]
    assert output == [number - 1 for number, _ in sorted(every)]
    assert not (folder / "out.failed.jsonl").exists()


def test_a_line_that_changed_since_is_refused(folder: Path) -> None:
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text().replace("row-4", "row-x"))
    with RecordingServer(salt=None) as server:
        result = persqa(
            *("run", "rows.jsonl", "-o", "out.jsonl", "--base-url", server.url, "--model", MODEL, *FLAGS), cwd=folder
        )
    assert result.returncode == 2
    assert "changed at line 5" in result.stderr
