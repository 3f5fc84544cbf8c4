"""A small input, its outcomes, and runs over it that store outcomes in a reproducible random order."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import AnyLedger, Ledger
from persqa_client.storage.previous import PictureChecks
from persqa_client.storage.records import render_outcome
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Position, TaskId, Usage

FAILED = [TaskId(2), TaskId(3, 1), TaskId(9, 1)]
IDENTITY = {"model": "qwen", "seed": 7}
STAMP = {"size": 1, "mtime_ns": 2}
MAX_IN_FLIGHT = 4


def render(line: bytes, outcome: Outcome) -> bytes:
    return render_outcome(line, outcome, output_key="pers_qa", style="qa", details=False, numbered=False)


def make_record(task_id: TaskId, answer: str = "<mam> reads.") -> Record:
    raw = RawAnswer(answer, finish_reason="stop")
    pictures = (SentPicture("image/png", task_id.row, 1, 1, None),)
    question = f"What is {task_id.question}?"
    return Record(
        task_id, "qa", "<mam>", question, answer, answer, 7, None, "stop", Usage(10, 2), pictures=pictures, raws=(raw,)
    )


CHANGED = {1, 3, 6}


def has_changed(images: Sequence[str], pictures: Sequence[SentPicture]) -> bool:
    """The width of a picture is the number of its row."""
    return pictures[0].width in CHANGED


def make_failure(task_id: TaskId) -> Failure:
    raws = (RawAnswer("She reads.", "pronoun_only"), RawAnswer("Reading.", "no_tag"))
    task = AskedTask("qa", "<mam>", f"What is {task_id.question}?", 7)
    usage = Usage(5, 1)
    return Failure(task_id, "no_tag", "no <mam> in it", "answer", 2, "Reading.", usage, 2, task=task, raws=raws)


def answer_first_run(task_id: TaskId) -> Outcome:
    """The tasks of ``FAILED`` fail."""
    return make_failure(task_id) if task_id in FAILED else make_record(task_id)


def answer_retry(task_id: TaskId) -> Outcome:
    """Row 9 fails again."""
    return make_failure(task_id) if task_id.row == 9 else make_record(task_id, "<mam> reads, at last.")


@dataclass(frozen=True, slots=True)
class Line:
    data: bytes
    task_ids: tuple[TaskId, ...]
    position: Position


def make_lines(count: int) -> list[Line]:
    """Lines with one or two tasks each. Every fourth is blank."""
    lines = []
    position = Position(0, 0, "")
    for number in range(1, count + 1):
        data = b"" if number % 4 == 0 else json.dumps({"image": f"{number}.jpg"}).encode()
        task_ids = tuple(TaskId(number, question) for question in range(1 + number % 2)) if data else ()
        digest = blake2b(position.digest.encode() + data, digest_size=8).hexdigest()
        position = Position(position.offset + len(data) + 1, number, digest)
        lines.append(Line(data, task_ids, position))
    return lines


LINES = make_lines(10)


def open_ledger(folder: Path, **more: Any) -> Ledger:
    settings: dict[str, Any] = {"identity": IDENTITY, "stamp": STAMP, "render": render, "clock": lambda: 0.0, **more}
    description = RunDescription(**{name: settings.pop(name) for name in RunDescription._fields if name in settings})
    return Ledger(RunFiles.for_output(folder / "qa.jsonl"), description, **settings)


def announce(ledger: AnyLedger, lines: list[Line] = LINES) -> None:
    for line in lines:
        if line.data:
            ledger.register_row(line.data, line.task_ids, line.position)
        else:
            ledger.skip(line.position)


@dataclass(slots=True)
class TaskLog:
    """The tasks that a run was given by the ledger, and those whose outcomes it stored."""

    asked: list[TaskId] = field(default_factory=list)
    stored: list[TaskId] = field(default_factory=list)


def answer_lines(
    ledger: Ledger, lines: list[Line], answer: Callable[[TaskId], Outcome], *, order: int = 1, every: int = 3
) -> TaskLog:
    """Announces the remaining lines, stores their outcomes in random order, and writes a checkpoint after ``every``."""
    log, rng = TaskLog(), random.Random(order)
    in_flight: list[TaskId] = []
    source = iter([line for line in lines if line.position.number > ledger.start.number])
    while announce_lines(ledger, source, in_flight, log) or in_flight:
        task_id = in_flight.pop(rng.randrange(len(in_flight)))
        ledger.store_outcome(answer(task_id))
        log.stored.append(task_id)
        if len(log.stored) % every == 0:
            ledger.checkpoint()()
    return log


def announce_lines(ledger: Ledger, source: Iterator[Line], in_flight: list[TaskId], log: TaskLog) -> bool:
    """Announces lines until enough tasks are in flight. Returns whether any are."""
    while len(in_flight) < MAX_IN_FLIGHT and (line := next(source, None)) is not None:
        if not line.data:
            ledger.skip(line.position)
            continue
        asked = ledger.register_row(line.data, line.task_ids, line.position)
        in_flight.extend(asked)
        log.asked.extend(asked)
    return bool(in_flight)


def run_to_end(folder: Path, *, order: int = 1, lines: list[Line] = LINES) -> TaskLog:
    """Starts the run or resumes it."""
    with open_ledger(folder) as ledger:
        if ledger.state == "finished":
            return TaskLog()
        log = answer_lines(ledger, lines, answer_first_run, order=order)
        ledger.finish({"note": "ours"})
        return log


def reopen_to_end(folder: Path, *, order: int = 1) -> TaskLog:
    """Continues a finished run with the lines that follow."""
    with open_ledger(folder) as ledger:
        if ledger.state == "finished" and ledger.start == LINES[-1].position:
            return TaskLog()
        if ledger.state == "finished":
            ledger.reopen()
        log = answer_lines(ledger, LINES, answer_first_run, order=order)
        ledger.finish({"note": "ours"})
        return log


def retry_to_end(folder: Path, *, order: int = 1) -> TaskLog:
    """Retries the failures of a finished run."""
    with open_ledger(folder) as ledger:
        if ledger.state == "finished" and ledger.tally.failed_total == 1:
            return TaskLog()
        if ledger.state == "finished":
            ledger.retry()
        log = answer_lines(ledger, LINES, answer_retry, order=order, every=1)
        ledger.finish({"note": "ours"})
        return log


def answer_changed(task_id: TaskId) -> Outcome:
    """The first question of row 3 fails now."""
    return make_failure(task_id) if task_id == TaskId(3) else make_record(task_id, "<mam> is blue now.")


def ask_changed_to_end(folder: Path, *, order: int = 1) -> TaskLog:
    """Asks again about the pictures of a finished run that have changed; its failures stay."""
    with open_ledger(folder, pictures=PictureChecks(has_changed)) as ledger:
        if ledger.state == "finished" and ledger.tally.failed_total == 4:
            return TaskLog()
        if ledger.state == "finished":
            ledger.retry(failed=False, changed=True)
        log = answer_lines(ledger, LINES, answer_changed, order=order, every=1)
        ledger.finish({"note": "ours"})
        return log


def fresh_to_end(folder: Path, *, order: int = 1) -> TaskLog:
    """Starts over, unless the new run has begun or is finished."""
    fresh = not any((folder / name).exists() for name in ("qa.jsonl.checkpoint", "qa.1.jsonl"))
    with open_ledger(folder, fresh=fresh) as ledger:
        if ledger.state != "finished":
            log = answer_lines(ledger, LINES, answer_retry, order=order)
            ledger.finish({"note": "fresh"})
            return log
    # Of the earlier run, if nothing of the new one was answered.
    return TaskLog() if (folder / "qa.1.jsonl").exists() else fresh_to_end(folder, order=order)


def interrupt_extension(folder: Path) -> None:
    """A finished run whose extension has written a part, and has outcomes that wait for others."""
    run_to_end(folder, lines=LINES[:5])
    with open_ledger(folder) as ledger:
        ledger.reopen()
        announce(ledger, LINES[5:])
        ledger.store_outcome(answer_first_run(TaskId(6)))
        ledger.checkpoint()()
        for task_id in (TaskId(9), TaskId(7)):
            ledger.store_outcome(answer_first_run(task_id))


def interrupt_first_run(folder: Path) -> None:
    """A run that has written a part, and has outcomes that wait for others."""
    with open_ledger(folder) as ledger:
        store_part(ledger)


def interrupt_fresh_run(folder: Path) -> None:
    """A fresh run, stopped like that of ``interrupt_first_run``, beside the finished one that it would replace."""
    run_to_end(folder)
    with open_ledger(folder, fresh=True) as ledger:
        store_part(ledger)


def store_part(ledger: Ledger) -> None:
    announce(ledger)
    for task_id in (TaskId(1), TaskId(1, 1), TaskId(2)):
        ledger.store_outcome(answer_first_run(task_id))
    ledger.checkpoint()()
    for task_id in (TaskId(9), TaskId(7)):
        ledger.store_outcome(answer_first_run(task_id))


def interrupt_retry(folder: Path) -> None:
    """A retry that has an outcome, beside the finished run with the other ones."""
    run_to_end(folder)
    with open_ledger(folder) as ledger:
        ledger.retry()
        announce(ledger)
        ledger.store_outcome(answer_retry(FAILED[0]))


def fresh_over_unfinished_to_end(folder: Path, *, order: int = 1) -> TaskLog:
    """Starts over, unless the files of the unfinished run have another name."""
    with open_ledger(folder, fresh=not (folder / "qa.1.jsonl.checkpoint").exists()) as ledger:
        if ledger.state != "finished":
            log = answer_lines(ledger, LINES, answer_retry, order=order)
            ledger.finish({"note": "fresh"})
            return log
    return TaskLog()


def fresh_over_fresh_run_to_end(folder: Path, *, order: int = 1) -> TaskLog:
    """Starts over as long as the finished run has its name."""
    log = fresh_over_unfinished_to_end(folder, order=order)
    if not (folder / "qa.2.run.json").exists():
        with open_ledger(folder, fresh=True) as ledger:
            log = answer_lines(ledger, LINES, answer_retry, order=order)
            ledger.finish({"note": "fresh"})
    return log


def read_folder(folder: Path) -> dict[str, bytes]:
    """The content of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


SCENARIOS: dict[str, Callable[..., TaskLog]] = {
    "run": run_to_end,
    "first five": partial(run_to_end, lines=LINES[:5]),
    "reopen": reopen_to_end,
    "retry": retry_to_end,
    "changed pictures": ask_changed_to_end,
    "fresh": fresh_to_end,
    "fresh over an extension": fresh_over_unfinished_to_end,
    "fresh over a stopped run": fresh_over_unfinished_to_end,
    "fresh over a stopped fresh run": fresh_over_fresh_run_to_end,
    "fresh over a retry": fresh_over_unfinished_to_end,
}
