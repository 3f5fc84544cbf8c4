"""A run with a listing that is killed at any moment, while files appear, asks about each file once and keeps its rows.

The listing belongs to the run's files: it is finished, reopened, retried and replaced together with them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from persqa_client.outcomes import Outcome
from persqa_client.storage.checkpoint import RunDescription, read_checkpoint
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.listing import StoredListing
from persqa_client.storage.recovery import has_no_outcome
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Position, TaskId
from tests.storage.scenario import answer_first_run, answer_retry, open_ledger, read_folder, render
from tests.storage.test_crashes import record_history, restore

IDENTITY = {"model": "qwen", "seed": 7, "listing": 1}
FIRST = ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]
GROWN = ["a.jpg", *FIRST, "cc.jpg"]
FILES = ["qa.details.jsonl", "qa.failed.jsonl", "qa.jsonl", "qa.listing.jsonl", "qa.run.json"]


def open_listed(folder: Path, **more: Any) -> Ledger:
    return open_ledger(folder, identity=IDENTITY, stamp=None, **more)


def extend(ledger: Ledger, names: list[str]) -> StoredListing:
    def locate() -> Path:
        assert ledger.listing is not None
        return ledger.listing

    listing = StoredListing(locate)
    known = set(listing.names())
    listing.extend("/photos", (name for name in names if name not in known))
    return listing


def answer_names(
    ledger: Ledger, listing: StoredListing, answer: Callable[[TaskId], Outcome], limit: int | None, *, backwards: bool
) -> None:
    start, end = ledger.start.number, None if ledger.end is None else ledger.end.number
    stop = end if end is not None else None if limit is None else max(0, limit - start)
    asked: list[TaskId] = []
    for number, name in islice(enumerate(listing.names(start), start + 1), stop):
        line, position = orjson.dumps({"image": name}), Position(number, number, str(number))
        asked += ledger.register_row(line, (TaskId(number),), position, key=name.encode())
    for task_id in reversed(asked) if backwards else asked:
        ledger.store_outcome(answer(task_id))
        ledger.checkpoint()()


def run_names(
    folder: Path,
    *,
    names: list[str] = FIRST,
    limit: int | None = None,
    fresh: bool = False,
    retry: bool = False,
    backwards: bool = False,
) -> None:
    """Starts, resumes or extends the run, like the command."""
    with open_listed(folder, fresh=fresh) as ledger:
        listing = extend(ledger, names)
        answer = answer_retry if retry else answer_first_run
        if ledger.state == "finished" and retry and ledger.tally.failed_total:
            ledger.retry()
        while True:
            if ledger.state == "finished":
                if listing.count <= ledger.start.number or (limit is not None and ledger.start.number >= limit):
                    return
                ledger.reopen()
            answer_names(ledger, listing, answer, limit, backwards=backwards)
            ledger.finish({})


SCENARIOS: dict[str, tuple[Callable[..., None] | None, Callable[..., None]]] = {
    "first run": (None, run_names),
    "extended": (run_names, partial(run_names, names=GROWN)),
    "after a limit": (partial(run_names, limit=2), partial(run_names, names=GROWN)),
    "retried and extended": (run_names, partial(run_names, names=GROWN, retry=True)),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_killed_at_any_moment_ends_with_the_same_files(scenario: str, memory_path: Path) -> None:
    before, run = SCENARIOS[scenario]
    (memory_path / "whole").mkdir()
    if before is not None:
        before(memory_path / "whole")
    history = record_history(memory_path / "whole", run)
    expected = read_folder(memory_path / "whole")
    assert [name for name in FILES if name != "qa.failed.jsonl" or name in expected] == sorted(expected)
    folders = history.restore_all(memory_path / "copies")
    assert len(folders) > 30
    for folder in folders:
        run(folder, backwards=True)
        assert read_folder(folder) == expected, folder.name
        shutil.rmtree(folder)


def test_files_that_appear_after_a_kill_come_behind_the_listed_ones(memory_path: Path) -> None:
    (memory_path / "whole").mkdir()
    history = record_history(memory_path / "whole", run_names)
    for folder in history.restore_all(memory_path / "copies"):
        listed = [
            name
            for file in folder.glob("qa.listing.jsonl*")
            if file.suffix != ".tmp"
            for name in StoredListing(lambda file=file: file).names()  # type: ignore[misc]
        ]
        files = RunFiles.for_output(folder / "qa.jsonl")
        checkpoint = read_checkpoint(files)
        has_outcome = files.run.exists() if checkpoint is None else not has_no_outcome(files, checkpoint)
        run_names(folder, names=GROWN)
        rows = [orjson.loads(line) for file in ("qa.jsonl", "qa.failed.jsonl") for line in read_lines(folder / file)]
        assert sorted(row["image"] for row in rows) == sorted(GROWN), folder.name
        names = list(StoredListing(lambda folder=folder: folder / "qa.listing.jsonl").names())  # type: ignore[misc]
        assert sorted(names) == sorted(GROWN)
        if has_outcome:
            assert names[: len(listed)] == listed, folder.name
            assert listed == FIRST, "all names are listed before the first answer"
        shutil.rmtree(folder)


def read_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def test_a_fresh_run_killed_at_any_moment_keeps_the_finished_listing_until_it_ends(memory_path: Path) -> None:
    (memory_path / "whole").mkdir()
    run_names(memory_path / "whole")
    finished = read_folder(memory_path / "whole")
    history = record_history(memory_path / "whole", partial(run_names, names=GROWN, fresh=True))
    replaced = read_folder(memory_path / "whole")
    assert replaced["qa.listing.jsonl"] != finished["qa.listing.jsonl"]
    for state in history.states:
        if state.get("qa.run.json") == finished["qa.run.json"] and b'"finishing"' not in state.get(
            "qa.jsonl.checkpoint", b""
        ):
            assert state["qa.listing.jsonl"] == finished["qa.listing.jsonl"]
        folder = restore(memory_path / "copy", state)
        run_names(folder, names=GROWN, fresh=(folder / "qa.jsonl.checkpoint").exists())
        names = list(StoredListing(lambda: memory_path / "copy" / "qa.listing.jsonl").names())
        assert names in (GROWN, [*FIRST, "a.jpg", "cc.jpg"])
        # A stopped fresh run is kept under a number.
        assert not [path for path in folder.glob("*.partial") if not path.name.startswith(("qa.1.", "qa.2."))]
        shutil.rmtree(folder)


def test_a_run_without_a_listing_replaces_one_that_has_it(memory_path: Path) -> None:
    run_names(memory_path)
    files = RunFiles.for_output(memory_path / "qa.jsonl")
    with Ledger(files, RunDescription({"model": "qwen"}), render=render, fresh=True) as ledger:
        assert ledger.listing is None
        ledger.register_row(b'{"image": "a.jpg"}', (TaskId(1),), Position(1, 1, "1"))
        ledger.store_outcome(answer_first_run(TaskId(1)))
        ledger.finish({})
    assert not files.listing.exists()


def test_a_named_row_may_be_written_in_another_way(memory_path: Path) -> None:
    position = Position(1, 1, "1")
    with open_listed(memory_path) as ledger:
        ledger.register_row(b'{"image": "a.jpg"}', (TaskId(1), TaskId(1, 1)), position, key=b"a.jpg")
        ledger.store_outcome(answer_first_run(TaskId(1)))
    with open_listed(memory_path) as ledger:
        line = b'{"image": "/photos/a.jpg"}'
        assert ledger.register_row(line, (TaskId(1), TaskId(1, 1)), position, key=b"a.jpg") == (TaskId(1, 1),)
