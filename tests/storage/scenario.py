"""A small input, its outcomes and a driver, for tests of the run's files: what an engine does, in a fixed odd order."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from persqa_client.storage.ledger import Ledger
from persqa_client.storage.records import render_failure, render_record
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Failure, Outcome, Position, Record, TaskId, Usage

IDENTITY = {"model": "qwen", "seed": 7}
STAMP = {"size": 1, "mtime_ns": 2}
AHEAD = 4


def render(line: bytes, outcome: Outcome) -> bytes:
    if isinstance(outcome, Failure):
        return render_failure(line, outcome)
    return render_record(line, outcome, output_key="pers_qa", style="qa", details=False)


def good(unit: TaskId, answer: str = "<mam> reads.") -> Record:
    return Record(unit, "qa", "<mam>", f"What is {unit.question}?", answer, answer, 7, usage=Usage(10, 2))


def bad(unit: TaskId) -> Failure:
    return Failure(unit, "no_tag", "no <mam> in it", "answer", attempts=2, usage=Usage(5, 1))


def fails_at_first(unit: TaskId) -> Outcome:
    """Every third row fails for its last question."""
    return bad(unit) if (unit.row % 3 == 0 and unit.question != 0) or unit.row == 2 else good(unit)


def fails_again(unit: TaskId) -> Outcome:
    """What a retry brings: row 9 fails once more."""
    return bad(unit) if unit.row == 9 else good(unit, "<mam> reads, at last.")


@dataclass(frozen=True, slots=True)
class Line:
    data: bytes
    units: tuple[TaskId, ...]
    position: Position


def make_lines(count: int) -> list[Line]:
    """Lines with one or two questions each; every fourth is blank, and has none."""
    lines = []
    position = Position(0, 0, "")
    for number in range(1, count + 1):
        data = b"" if number % 4 == 0 else json.dumps({"image": f"{number}.jpg"}).encode()
        units = tuple(TaskId(number, question) for question in range(1 + number % 2)) if data else ()
        digest = blake2b(position.digest.encode() + data, digest_size=8).hexdigest()
        position = Position(position.offset + len(data) + 1, number, digest)
        lines.append(Line(data, units, position))
    return lines


LINES = make_lines(10)


def open_ledger(folder: Path, **more: Any) -> Ledger:
    settings: dict[str, Any] = {"identity": IDENTITY, "stamp": STAMP, "render": render, "clock": lambda: 0.0, **more}
    return Ledger.open(RunFiles.for_output(folder / "qa.jsonl"), **settings)


@dataclass(slots=True)
class Log:
    """What a drive asked for and settled."""

    asked: list[TaskId] = field(default_factory=list)
    settled: list[TaskId] = field(default_factory=list)


def drive(
    ledger: Ledger, lines: list[Line], answer: Callable[[TaskId], Outcome], *, order: int = 1, every: int = 3
) -> Log:
    """Feeds the lines that are left, settles in an order of its own, and takes a checkpoint after some."""
    log, choose = Log(), random.Random(order)
    flying: list[TaskId] = []
    source = iter([line for line in lines if line.position.number > ledger.start.number])
    while feed(ledger, source, flying, log) or flying:
        unit = flying.pop(choose.randrange(len(flying)))
        ledger.settle(answer(unit))
        log.settled.append(unit)
        if len(log.settled) % every == 0:
            ledger.checkpoint()()
    return log


def feed(ledger: Ledger, source: Iterator[Line], flying: list[TaskId], log: Log) -> bool:
    """Reads on until some units are in flight; whether any are."""
    while len(flying) < AHEAD and (line := next(source, None)) is not None:
        if not line.data:
            ledger.skip(line.position)
            continue
        asked = ledger.expect(line.data, line.units, line.position)
        flying.extend(asked)
        log.asked.extend(asked)
    return bool(flying)


def run_to_end(folder: Path, *, order: int = 1, lines: list[Line] = LINES) -> Log:
    """The whole run, or the rest of it."""
    with open_ledger(folder) as ledger:
        if ledger.state == "finished":
            return Log()
        log = drive(ledger, lines, fails_at_first, order=order)
        ledger.finish({"note": "ours"})
        return log


def reopen_to_end(folder: Path, *, order: int = 1) -> Log:
    """Goes on with a finished run over the lines that it has not had."""
    with open_ledger(folder) as ledger:
        if ledger.state == "finished" and ledger.start == LINES[-1].position:
            return Log()
        if ledger.state == "finished":
            ledger.reopen()
        log = drive(ledger, LINES, fails_at_first, order=order)
        ledger.finish({"note": "ours"})
        return log


def retry_to_end(folder: Path, *, order: int = 1) -> Log:
    """Asks a finished run's failures again."""
    with open_ledger(folder) as ledger:
        if ledger.state == "finished" and ledger.tally.failed_total == 1:
            return Log()
        if ledger.state == "finished":
            ledger.retry()
        log = drive(ledger, LINES, fails_again, order=order, every=1)
        ledger.finish({"note": "ours"})
        return log


def results(folder: Path) -> dict[str, bytes]:
    """Everything that a run left."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


SCENARIOS: dict[str, Callable[..., Log]] = {
    "run": run_to_end,
    "first five": partial(run_to_end, lines=LINES[:5]),
    "reopen": reopen_to_end,
    "retry": retry_to_end,
}
