"""The decisions of people about answers, in a file beside the output. Lines are only appended; the last one counts.

A decision is about one text. It is found by the row, its pictures, the question and the answer, so it never applies to
another answer, such as one of a later run or a recheck.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact, load_object, load_value
from persqa_client.outcomes import Outcome, Record
from persqa_client.storage.durable import sync_folder, write_error
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json, TaskId

# "none" withdraws the decision before it.
DecisionKind = Literal["accept", "reject", "edit", "none"]
DECISION_KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)
# Number of lines that a message names.
MAX_NAMED = 5
logger = logging.getLogger(__name__)


class Subject(NamedTuple):
    """The question of a row. ``task_id`` is None if no file says which input line the row is."""

    task_id: TaskId | None
    # As written in the output or the failure file.
    images: tuple[str, ...]
    question: str


@dataclass(frozen=True, slots=True)
class Decision:
    subject: Subject
    # The text that it is about: the answer, or the last rejected one of a failed question. Empty if there is none.
    answer: str
    kind: DecisionKind
    # The new answer of an edit.
    text: str | None = None
    comment: str = ""
    # ISO 8601, in UTC.
    time: str = ""

    @property
    def final_text(self) -> str | None:
        """The answer to use; None for a rejected one, and for a decision that is withdrawn."""
        if self.kind == "edit":
            return self.text
        return self.answer if self.kind == "accept" else None

    @property
    def is_empty(self) -> bool:
        return self.kind == "none" and not self.comment


@dataclass(slots=True)
class Decisions:
    """The decisions about one output."""

    # In each group the latest is the last.
    _groups: dict[tuple[tuple[str, ...], str], dict[tuple[TaskId | None, str], Decision]] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        subject = decision.subject
        group = self._groups.setdefault((subject.images, subject.question), {})
        key = (subject.task_id, decision.answer)
        group.pop(key, None)
        group[key] = decision

    def find(self, subject: Subject, answer: str) -> Decision | None:
        """The latest decision about this answer."""
        return next((each for each in self._of(subject) if each.answer == answer), None)

    def find_stale(self, subject: Subject, answer: str) -> Decision | None:
        """The latest decision about another answer to the question, which does not apply to this one."""
        return next((each for each in self._of(subject) if each.answer != answer and not each.is_empty), None)

    def _of(self, subject: Subject) -> Iterator[Decision]:
        group = self._groups.get((subject.images, subject.question), {})
        for decision in reversed(group.values()):
            known = decision.subject.task_id
            if known == subject.task_id or known is None or subject.task_id is None:
                yield decision

    def __iter__(self) -> Iterator[Decision]:
        """The latest about each answer, without those that were withdrawn."""
        for group in self._groups.values():
            yield from (each for each in group.values() if not each.is_empty)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_decisions(output: Path) -> Decisions:
    """Reads the decisions about the answers of a run. Raises SettingsError for a file of another program.

    >>> decisions = read_decisions(Path("qa.jsonl"))
    >>> decisions.find(Subject(TaskId(3), ("c.jpg",), "What does <mam> hold?"), "<mam> holds a cup.")
    """
    return DecisionsFile(RunFiles.for_output(output).decisions).decisions


def get_decided_text(outcome: Outcome) -> str:
    """The text that a decision is about: the answer, or the last rejected text. Empty if there is none."""
    if isinstance(outcome, Record):
        return outcome.answer
    last = outcome.raws[-1] if outcome.raws else None
    return ((last.refusal or last.text) if last is not None else outcome.raw) or ""


class DecisionsFile:
    """Reads what is there, and later what other processes append. Several processes may append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.decisions = Decisions()
        # Bytes and number of whole lines that were read, and the file that they were read from.
        self._length, self._count = 0, 0
        self._inode: int | None = None
        self.refresh()

    def refresh(self) -> list[Decision] | None:
        """The decisions that are new; None if the file was replaced or shortened, and all were read again."""
        try:
            with self.path.open("rb") as file:
                state = os.fstat(file.fileno())
                is_other = self._inode not in (None, state.st_ino) or state.st_size < self._length
                if is_other:
                    self._forget()
                self._inode = state.st_ino
                if state.st_size == self._length:
                    return None if is_other else []
                file.seek(self._length)
                data = file.read()
        except FileNotFoundError:
            is_other = self._inode is not None
            self._forget()
            return None if is_other else []
        except OSError as error:
            raise SettingsError(f"{self.path} can't be read: {error.strerror or error}") from error
        found = self._parse(data[: find_end(data)])
        for decision in found:
            self.decisions.add(decision)
        return None if is_other else found

    def _forget(self) -> None:
        self.decisions, self._length, self._count, self._inode = Decisions(), 0, 0, None

    def _parse(self, data: bytes) -> list[Decision]:
        found, broken = [], []
        for number, line in enumerate(data.split(b"\n"), self._count + 1):
            if not line.strip():
                continue
            try:
                fields = load_value(line)
            except ValueError:
                broken.append(number)
                continue
            try:
                found.append(decision_from_json(fields))
            except (KeyError, TypeError, ValueError) as error:
                raise SettingsError(
                    f"{self.path} has a line that is not a decision, line {number}: move the file, or remove the line"
                ) from error
        self._length += len(data)
        self._count += data.count(b"\n")
        if broken:
            warn_of_broken(self.path, tuple(broken))
        return found

    def append(self, decision: Decision) -> None:
        """Returns after the line is on the disk. Raises StorageError."""
        line = dump_compact(decision_to_json(decision)) + b"\n"
        is_new = not self.path.exists()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # ends what a crash cut off
                if os.write(descriptor, line) != len(line):
                    raise OSError(None, "only part of a line was written, the disk may be full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise write_error(self.path, error) from error
        if is_new:
            sync_folder(self.path.parent)


def find_end(data: bytes) -> int:
    """Where the last whole line ends. Without a line break, it is whole if it is JSON: nothing that a crash or another
    process has written in part is.
    """
    end = data.rfind(b"\n") + 1
    try:
        load_object(data[end:])
    except ValueError:
        return end
    return len(data)


@lru_cache
def warn_of_broken(path: Path, numbers: tuple[int, ...]) -> None:
    """Once, also if a command reads the file several times."""
    shown = ", ".join(map(str, numbers[:MAX_NAMED])) + (" …" if len(numbers) > MAX_NAMED else "")
    if len(numbers) == 1:
        logger.warning("%s: line %s is not JSON, so its decision is left out. Mend or remove the line.", path, shown)
        return
    logger.warning(
        "%s: %d lines are not JSON, so their decisions are left out: %s. Mend or remove the lines.",
        *(path, len(numbers), shown),
    )


def decision_to_json(decision: Decision) -> Json:
    task_id = decision.subject.task_id
    return {
        "row": task_id.row if task_id is not None else None,
        "question_number": task_id.question if task_id is not None else None,
        "images": list(decision.subject.images),
        "question": decision.subject.question,
        "answer": decision.answer,
        "decision": decision.kind,
        "text": decision.text,
        "comment": decision.comment,
        "time": decision.time,
    }


def decision_from_json(fields: Json) -> Decision:
    """Raises KeyError, TypeError or ValueError."""
    task_id = None if fields["row"] is None else TaskId(int(fields["row"]), int(fields["question_number"]))
    kind, text, comment = fields["decision"], fields.get("text"), fields.get("comment", "")
    images, question, answer = fields["images"], fields["question"], fields["answer"]
    texts = (question, answer, comment, *images, *(() if text is None else (text,)))
    is_text = isinstance(images, list) and all(isinstance(each, str) for each in texts)
    if kind not in DECISION_KINDS or not is_text or (kind == "edit") != (text is not None):
        raise ValueError("not a decision")
    return Decision(Subject(task_id, tuple(images), question), answer, kind, text, comment, str(fields["time"]))


def current_time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
