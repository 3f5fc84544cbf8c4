"""Finished runs whose answers were judged by other checks than today's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persqa_client.config import Endpoint
from persqa_client.inputs.files import FileSource
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, Verification
from persqa_client.run.plan import RunPlan
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import START_POSITION, BadRow, Row, TaskId, Usage

QUESTION = "What does <mam> do?"


@dataclass(frozen=True, slots=True)
class Judged:
    """The raw answers to a question, each with the code of its problem, and the accepted text.

    ``code``: a failure of the ``stage``; without it the last answer is accepted.
    """

    raws: tuple[tuple[str, str | None], ...]
    code: str | None = None
    text: str | None = None
    stage: str = "answer"
    finish_reason: str = "stop"
    doubts: tuple[str, ...] = ()
    verification: Verification | None = None

    def to_outcome(self, task_id: TaskId) -> Outcome:
        raws = tuple(
            RawAnswer(text, code, ("constraint",), self.finish_reason, None, None, 10, 2, 512, number, "m")
            for number, (text, code) in enumerate(self.raws)
        )
        shared: dict[str, Any] = {"usage": Usage(10 * len(raws), 2 * len(raws)), "attempts": len(raws)}
        shared |= {"asks": len(raws), "refused": raws[0].problem if raws else None, "raws": raws}
        shared["verification"] = self.verification
        if self.code is not None:
            task = None if self.stage == "input" else AskedTask("attribute", "<mam>", QUESTION, 3, category="human")
            raw = raws[-1].text if raws else None
            message = f"Line {task_id.row}: the answer was refused."
            return Failure(task_id, self.code, message, self.stage, raw=raw, task=task, **shared)  # type: ignore[arg-type]
        text = self.text if self.text is not None else self.raws[-1][0]
        steps = ("constraint", *(["re-ask"] if len(raws) > 1 else []))
        return Record(
            *(task_id, "attribute", "<mam>", QUESTION, text, self.raws[-1][0], 3, "m", "stop"),
            made_good_by=steps,
            category="human",
            doubts=self.doubts,
            **shared,
        )


GOOD = "<mam> reads a book."
CUP = "<mam> holds a cup."
# Today's checks have the same result.
KEPT = (
    Judged(((GOOD, None),)),
    Judged((("A man reads.", "no_tag"), (GOOD, None))),
    Judged((("A man reads.", "no_tag"), ("A man.", "no_tag")), "no_tag"),
    Judged((), "timeout", stage="endpoint"),
    Judged(((GOOD, "no_tag"),), "timeout", stage="endpoint"),
    Judged((("<mam> holds a", "truncated"),), "truncated", finish_reason="length"),
)
# Each with what today's checks make of it: the accepted text, or the code.
CHANGED = (
    (Judged((("<mam>", None),)), (None, "only_tag")),
    (Judged(((CUP, "no_tag"), ("A man.", "no_tag")), "no_tag"), (CUP, None)),
    (Judged((("A man.", "no_tag"), (CUP, "loop")), "loop"), (CUP, None)),
    (Judged((('"<mam> holds a cup."', None),)), (CUP, None)),
    (Judged(((CUP, "loop"), (GOOD, None))), (CUP, None)),
    (Judged((("A man.", "loop"),), "loop"), (None, "no_tag")),
)


def mix() -> list[Judged]:
    """Kept and changed questions by turns, with blank and bad lines (``None``) to come between."""
    judged = []
    for number, (changed, _) in enumerate(CHANGED):
        judged += [KEPT[number], changed]
    return judged


def make_settings(folder: Path, **flags: Any) -> RunSettings:
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    flags = {"strategy": "direct", "probes": False, **flags}
    return make_run_settings([endpoint], flags, input=folder / "rows.jsonl", output=folder / "qa.jsonl")


def write_rows(folder: Path, count: int, **more: Any) -> None:
    """Every fifth line is blank, and the third is no JSON."""
    lines = []
    for number in range(1, count + 1):
        lines.append(json.dumps({"n": number, "image": f"{number}.jpg", "question": QUESTION, **more}))
        lines += [""] if number % 4 == 0 else []
        lines += ["{not json"] if number == 2 else []
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))


def open_ledger(settings: RunSettings) -> Ledger:
    plan = RunPlan(settings, settings.input.parent if settings.input else None)
    assert settings.output is not None
    assert settings.input is not None
    return Ledger(
        RunFiles.for_output(settings.output),
        RunDescription({**plan.identity(), **plan.digests()}, FileSource(settings.input).fingerprint()),
        render=plan.make_renderer(),
        clock=lambda: 0.0,
    )


def store_rows(settings: RunSettings, ledger: Ledger, judged: Sequence[Judged]) -> None:
    """Stores the outcomes of the rows of the input, in order: the next of ``judged`` for each task."""
    assert settings.input is not None
    reader = RunPlan(settings, settings.input.parent).make_row_reader()
    left = iter(judged)
    for line, position in FileSource(settings.input).lines(START_POSITION):
        if not line.strip():
            ledger.skip(position)
            continue
        row: Row | BadRow = reader.parse(position.number, line)
        for task_id in ledger.register_row(row.line, reader.task_ids(row), position):
            if isinstance(row, BadRow):
                ledger.store_outcome(Failure(task_id, row.code, row.message, whole_row=True))
            else:
                ledger.store_outcome(next(left).to_outcome(task_id))


def finish_run(folder: Path, judged: Sequence[Judged], *, row: dict[str, Any] | None = None, **flags: Any) -> Path:
    """Returns the output."""
    folder.mkdir(exist_ok=True)
    settings = make_settings(folder, **flags)
    write_rows(folder, len(judged) // flags.get("questions", 1), **(row or {}))
    with open_ledger(settings) as ledger:
        store_rows(settings, ledger, judged)
        ledger.finish({"input": str(folder / "rows.jsonl"), "strategy": "direct", "note": "ours"})
    return folder / "qa.jsonl"
