"""The files of small runs, written as a run writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record
from persqa_client.storage.checkpoint import Checkpoint, FileLengths, write_checkpoint, write_run_file
from persqa_client.storage.details import render_details
from persqa_client.storage.journal import Journal, JournalEntry
from persqa_client.storage.records import render_outcome
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Position, TaskId, Usage

QUESTION = "What does <mam> hold?"
IDENTITY = {"model": "m", "image-key": "image", "output-key": "pers_qa", "tag": "mam"}


def make_record(row: int, answer: str = "<mam> holds a cup.", question: int = 0, **fields: Any) -> Record:
    raw = RawAnswer(answer, None, ("constraint",), "stop", completion_tokens=5)
    asked = fields.pop("asked", QUESTION)
    known: dict[str, Any] = {
        "finish_reason": "stop",
        "made_good_by": ("constraint",),
        "usage": Usage(100, 5),
        "raws": (raw,),
    }
    return Record(TaskId(row, question), "attribute", "<mam>", asked, answer, answer, 3, **(known | fields))


def make_failure(row: int, code: str = "refusal", question: int = 0, **fields: Any) -> Failure:
    raws = (RawAnswer("I'm sorry.", "refusal"), RawAnswer("I can't help.", code))
    task = AskedTask("attribute", "<mam>", fields.pop("asked", QUESTION), 3)
    known: dict[str, Any] = {"raw": "I can't help.", "task": task, "raws": raws, "usage": Usage(200, 9)}
    known |= {"attempts": 2, "asks": 2, "refused": "refusal"}
    message = f"Line {row}: Both answers were rejected."
    return Failure(TaskId(row, question), code, message, "answer", **(known | fields))


def make_input_failure(row: int, code: str = "image_missing") -> Failure:
    return Failure(TaskId(row), code, f"Line {row}: The image does not exist.")


@dataclass(frozen=True)
class WrittenRun:
    """``details``: whether there is a details file. ``meta``: whether the run had ``--details``.

    ``settings``: further settings of the run's identity.
    """

    folder: Path
    name: str = "qa.jsonl"
    style: Any = "qa"
    details: bool = True
    meta: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        return self.folder / self.name

    def finish(self, outcomes: Sequence[Outcome], lines: dict[int, dict[str, Any]] | None = None) -> Path:
        files = RunFiles.for_output(self.output)
        self._write(outcomes, lines or {}, files.output, files.failed, files.details)
        write_run_file(files, self._make_checkpoint(outcomes, files.output, files.failed, files.details))
        return self.output

    def leave_unfinished(
        self, outcomes: Sequence[Outcome], *, torn: bytes = b"", journaled: Sequence[Outcome] = ()
    ) -> Path:
        """``torn``: the beginning of a line that a kill left in each file. ``journaled``: outcomes that wait."""
        files = RunFiles.for_output(self.output)
        paths = (files.partial, files.failed_partial, files.details_partial)
        self._write(outcomes, {}, *paths)
        write_checkpoint(files, self._make_checkpoint(outcomes, *paths))
        for path in paths:
            with path.open("ab") as file:
                file.write(torn)
        if journaled:
            journal = Journal(files, 1)
            journal.append(*(JournalEntry("", outcome) for outcome in journaled))
            journal.close()
        return self.output

    def _make_checkpoint(self, outcomes: Sequence[Outcome], *paths: Path) -> Checkpoint:
        tally = Tally(rows=len({outcome.task_id.row for outcome in outcomes}))
        for outcome in outcomes:
            tally.add(outcome)
        lengths = FileLengths(*(path.stat().st_size if path.exists() else 0 for path in paths))
        identity = {**IDENTITY, "output-style": self.style, "details": self.meta, **self.settings}
        return Checkpoint(identity, None, position=Position(0, 0, ""), lengths=lengths, tally=tally.to_json())

    def _write(
        self, outcomes: Sequence[Outcome], lines: dict[int, dict[str, Any]], output: Path, failed: Path, details: Path
    ) -> None:
        texts: dict[Path, list[bytes]] = {output: [], failed: [], details: []}
        for outcome in outcomes:
            row = outcome.task_id.row
            line = json.dumps(lines.get(row, {"image": [f"{row}.png"]}), ensure_ascii=False).encode(
                "utf-8", "backslashreplace"
            )
            written = render_outcome(
                line, outcome, output_key="pers_qa", style=self.style, details=self.meta, numbered=False
            )
            texts[failed if isinstance(outcome, Failure) else output].append(written)
            texts[details].append(render_details(line, outcome, written))
        output.write_bytes(b"".join(texts[output]))
        if texts[failed]:
            failed.write_bytes(b"".join(texts[failed]))
        if self.details:
            details.write_bytes(b"".join(texts[details]))


def add_details(output: Path, *outcomes: Outcome) -> None:
    """As a retry does."""
    files = RunFiles.for_output(output)
    with files.details.open("ab") as file:
        file.writelines(render_details(b'{"image": "a.png"}', outcome, b'{"image": "a.png"') for outcome in outcomes)


def write_pictures(folder: Path, *names: str, size: tuple[int, int] = (64, 48)) -> None:
    for number, name in enumerate(names):
        Image.new("RGB", size, (40 * number % 256, 120, 90)).save(folder / name)


def with_raws(outcome: Record, *raws: RawAnswer) -> Record:
    return replace(outcome, raws=raws)
