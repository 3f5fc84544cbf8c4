"""The persqa command as a person runs it, and the files it leaves. Runs processes, reads and writes files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import persqa_client
from persqa_client.types import ProblemCode
from tests.support.commands import lines_in

SAMPLES = Path(persqa_client.__file__).parent / "samples"
PICTURES = sorted(str(path) for path in SAMPLES.glob("*.jpg"))
PERSQA = Path(sys.executable).with_name("persqa")
"""The command of the environment that the tests run in, active or not."""

MANY_MINUTES = 900.0
ANSWER_CODES = frozenset(get_args(ProblemCode))
"""The codes of rejected answers. All others are of requests and inputs."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a ``persqa run`` came to: its exit code, its words, and the rows that it left."""

    code: int
    said: str
    good: list[Json]
    failed: list[Json]
    output: Path

    @property
    def error(self) -> str:
        """The one line that tells why the command ended, for a person."""
        lines = [line for line in self.said.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.said
        return lines[0]

    def assert_answered(self, count: int) -> None:
        """Each row has an answer; see :func:`assert_rows_answered`."""
        assert_rows_answered(self.good, self.failed, count)
        assert self.code == (1 if self.failed else 0), self.said

    @property
    def facts(self) -> Json:
        """The run file, ``qa.run.json``."""
        return dict(json.loads(self.output.with_suffix(".run.json").read_text(encoding="utf-8")))


def assert_rows_answered(good: Sequence[Json], failed: Sequence[Json], count: int) -> None:
    """Each of the ``count`` sample rows has an answer. The checks may reject a quarter and two more: a model of random
    weights writes random words, and some 12 % of the rows fail for that."""
    rows = [row["id"] for row in good], [row["id"] for row in failed]
    assert sorted(rows[0] + rows[1]) == sorted(f"row-{number}" for number in range(count))
    assert {row["error"]["code"] for row in failed} <= ANSWER_CODES, failed
    assert len(failed) <= 2 + count / 4, failed
    for written in rows:
        assert written == sorted(written, key=lambda name: int(name.removeprefix("row-")))


def command_line(input: Path, flags: Iterable[str]) -> list[str]:
    return [str(PERSQA), "run", str(input), "-o", str(output_of(input)), *flags]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Wide, so that no sentence is broken into lines."""
    return {**os.environ, "COLUMNS": "300", **(more or {})}


def output_of(input: Path) -> Path:
    return input.with_name("qa.jsonl")


def run(input: Path, flags: Iterable[str], environ: Mapping[str, str] | None = None) -> Finished:
    """``persqa run`` to its end. The output lies beside the input."""
    done = subprocess.run(
        command_line(input, flags),
        env=environment(environ),
        capture_output=True,
        encoding="utf-8",
        timeout=MANY_MINUTES,
        check=False,
    )
    return look(input, done.returncode, done.stdout + done.stderr)


def look(input: Path, code: int, said: str) -> Finished:
    """What lies beside the input after a run that ended with ``code``."""
    output = output_of(input)
    return Finished(code, said, read_rows(output), read_rows(output.with_name("qa.failed.jsonl")), output)


def read_rows(path: Path) -> list[Json]:
    """The rows of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def write_rows(folder: Path, rows: Iterable[Json]) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def sample_rows(count: int) -> list[Json]:
    """Rows about the sample pictures in turn, each with an ``id`` of its own, so that no two are asked alike."""
    return [{"id": f"row-{number}", "image": [PICTURES[number % len(PICTURES)]]} for number in range(count)]


def wait_for_rows(process: subprocess.Popen[str], partial: Path, count: int) -> None:
    """Until so many rows are written; fails where the run ends first."""
    while lines_in(partial) < count:
        assert process.poll() is None, f"the run ended before {count} rows were written"
        time.sleep(0.02)
