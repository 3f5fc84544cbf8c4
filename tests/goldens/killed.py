"""Runs that were broken off, finished with failures, or given more input, and how each of them goes on.

A case is a folder in ``tests/goldens/runs``: ``before`` holds the files of the run and its input as they were left,
``later`` what is put over them before the run goes on, ``after`` the output and the failure file when it has ended,
``case.json`` the command's flags and the seeds of the requests that are sent then. All paths are
relative, so nothing in the files depends on the machine; the input's time stamp in a checkpoint does not match after a
checkout, which makes the run compare the input's digest instead.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.goldens.scenarios import PICTURES, without_doubts, without_messages
from tests.goldens.server import MODEL, RecordingServer
from tests.support.commands import persqa, start

RUNS = Path(__file__).parent / "runs"
ROWS = 60
LEAVES = ("rows.jsonl", "out.*", ".out.*")
"""Files of a case; pictures are the same for all."""


@dataclass(frozen=True, slots=True)
class Case:
    """How a run comes about (``stages``: each a limit of answered requests; None runs to the end) and goes on.

    Numbers of requests in ``never`` are not answered in the killed stages. ``retry`` makes the last stage, and what
    follows it, a ``--retry-failed``. ``more`` adds lines to the input before the run goes on.
    """

    name: str
    flags: tuple[str, ...]
    stages: tuple[int | None, ...]
    never: tuple[int, ...] = ()
    retry: bool = False
    more: int = 0
    salt: str = "second"
    """Decides the answers of a retry, and of what follows all stages."""


FLAGS = ("--concurrency", "8", "--no-uuid")
CASES = (
    Case("killed", (*FLAGS, "--no-probes", "--details"), stages=(50,), never=(33,), salt="first"),
    Case("killed-twice", (*FLAGS, "--no-probes"), stages=(30, 20), never=(12,), salt="first"),
    Case(
        "killed-three-questions",
        (*FLAGS, "--questions", "3", "--strategy", "constrain", "--details"),
        stages=(130,),
        never=(70,),
        salt="first",
    ),
    Case("failed", (*FLAGS, "--no-probes", "--retry-failed"), stages=(None,)),
    Case("failed-three-questions", (*FLAGS, "--questions", "3", "--no-probes", "--retry-failed"), stages=(None,)),
    Case("grown", (*FLAGS, "--no-probes", "--language", "zh", "--details"), stages=(None,), more=12),
    Case("killed-retry", (*FLAGS, "--questions", "3", "--no-probes"), stages=(None, 16), never=(7,), retry=True),
)


def command(case: Case, server: RecordingServer, *, retry: bool) -> list[str]:
    flags = [flag for flag in case.flags if flag != "--retry-failed"]
    base = ["run", "rows.jsonl", "-o", "out.jsonl", "--base-url", server.url, "--model", MODEL, *flags]
    return [*base, "--retry-failed"] if retry else base


def make(case: Case, folder: Path) -> None:
    """Makes the files of a case with the package as it is, in ``folder``, and keeps them under ``runs``."""
    home = RUNS / case.name
    shutil.rmtree(home, ignore_errors=True)
    lines = make_lines()
    shutil.copytree(PICTURES, folder, dirs_exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(lines[:ROWS]))
    for number, limit in enumerate(case.stages):
        last = case.retry and number == len(case.stages) - 1
        never = case.never if limit else ()
        with RecordingServer(salt=case.salt if last else "first", limit=limit, never=never) as server:
            stop_at(limit, server, command(case, server, retry=last), case, folder)
    keep(folder, home / "before")
    (home / "later").mkdir(parents=True)
    shutil.copy(PICTURES / "a.png", home / "later" / "late.png")
    if case.more:
        (home / "later" / "rows.jsonl").write_text("".join(lines[: ROWS + case.more]))
    with going_on(case.name, folder) as (code, server):
        pass
    (home / "after").mkdir()
    for name in ("out.jsonl", "out.failed.jsonl", "out.run.json"):
        if (folder / name).exists():
            (home / "after" / name).write_bytes((folder / name).read_bytes())
    noted: dict[str, Any] = {"exit": code, "asked": server.seeds}
    (home / "case.json").write_text(json.dumps(noted, indent=1) + "\n")


def make_lines() -> list[str]:
    pictures = ("a.png", "c.jpg", "e.webp", "sub/g.png", "图片.png")
    lines = []
    for number in range(ROWS + 20):
        row: dict[str, Any] = {"n": number, "image": [pictures[number % 5]], "id": f"row-{number}"}
        if number % 13 == 4:
            row["image"] = ["late.png"]
        if number % 6 == 2:
            row["question"] = "图中的<mam>在做什么？" if number % 4 else "What is <mam> doing?"
        lines.append(json.dumps(row, ensure_ascii=number % 2 == 0) + "\n")
    lines[7] = "\n"
    lines[11] = '{"n": 11, "image": ["a.png"\n'
    return lines


def stop_at(limit: int | None, server: RecordingServer, arguments: list[str], case: Case, folder: Path) -> None:
    """Runs to the end, or kills the run once so many requests were answered and a checkpoint was taken in between."""
    if limit is None:
        assert persqa(*arguments, cwd=folder).returncode == 1
        return
    server.limit = limit // 2
    process = start(*arguments, cwd=folder)
    wait_for(server, limit // 2, case)
    time.sleep(7)  # the run takes a checkpoint every 5 seconds
    server.limit = limit
    wait_for(server, limit, case)
    time.sleep(0.5)
    process.kill()
    process.communicate()


def wait_for(server: RecordingServer, limit: int, case: Case) -> None:
    held = sum(number <= limit for number in case.never)
    deadline = time.monotonic() + 20
    while len(server.answered) < limit - held:
        assert time.monotonic() < deadline, f"{case.name}: {len(server.answered)} answered of {limit - held}"
        time.sleep(0.02)


def keep(folder: Path, into: Path) -> None:
    into.mkdir(parents=True)
    for pattern in LEAVES:
        for path in folder.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, into / path.name)


@contextmanager
def going_on(name: str, folder: Path) -> Iterator[tuple[int, RecordingServer]]:
    """Continues a committed run in ``folder`` with the same command."""
    case = next(case for case in CASES if case.name == name)
    home = RUNS / name
    shutil.copytree(PICTURES, folder, dirs_exist_ok=True)
    shutil.copytree(home / "before", folder, dirs_exist_ok=True)
    shutil.copytree(home / "later", folder, dirs_exist_ok=True)
    with RecordingServer(salt=case.salt) as server:
        retry = case.retry or "--retry-failed" in case.flags
        result = persqa(*command(case, server, retry=retry), cwd=folder)
    assert result.returncode in (0, 1), result.stderr
    yield result.returncode, server


def results(folder: Path) -> dict[str, bytes]:
    """The output and the failure file, as they are compared."""
    failed = folder / "out.failed.jsonl"
    return {
        "output": without_doubts((folder / "out.jsonl").read_bytes()),
        "failed": without_messages(failed.read_bytes()) if failed.exists() else b"",
    }
