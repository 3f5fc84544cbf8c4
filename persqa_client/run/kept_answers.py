"""Reads what a finished run kept of a question: the outcome, all raw answers, and the input line.

Runs of earlier versions have no details. What is kept of their questions is in the output and the failure file: the
last rejected text, and the raw text of an accepted answer if the run had ``--details``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from persqa_client.answers.parse import SENTENCE_END
from persqa_client.jsonl import cut_last_member, load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record
from persqa_client.questions.tasks import TaskMaker
from persqa_client.storage.details import outcome_from_details
from persqa_client.storage.finished import KeptQuestion
from persqa_client.types import Json, ProblemCode, Row, Task, TaskId

# What is missing of a question: the raw text of an accepted answer, earlier rejected answers, or what a check needs.
Lack = Literal["raw", "earlier", "question", "ending"]
ANSWER_CODES = frozenset(get_args(ProblemCode))
# Of these, the codes that depend on how the answer ended, which was not kept.
ENDING_CODES = frozenset(("truncated", "content_filter", "unfinished"))


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    outcome: Outcome
    # As the run received them; empty if there is nothing to check.
    raws: tuple[RawAnswer, ...]
    task: AskedTask | None
    lack: Lack | None = None


def read_details(details: tuple[Json, ...]) -> KeptAnswers:
    """The last outcome, with the raw answers of all lines. Raises ValueError."""
    raws: tuple[RawAnswer, ...] = ()
    digests: list[str | None] = []
    for fields in details:
        outcome = outcome_from_details(fields)
        if outcome.pictures:
            before, digests = digests, [picture.digest for picture in outcome.pictures]
            # Answers about a picture that has been replaced since then are none about the present one.
            raws = () if before and before != digests and None not in (*before, *digests) else raws
        raws = (() if fields.get("rechecked") else raws) + (outcome.raws or _raw_of_earlier_version(outcome))
    task = describe_record(outcome) if isinstance(outcome, Record) else outcome.task
    if is_final(outcome):
        return KeptAnswers(outcome, (), task)
    if task is None or not raws:
        return KeptAnswers(outcome, (), task, find_lack_of_failure(outcome))
    return KeptAnswers(replace(outcome, raws=raws), raws, task)


def _raw_of_earlier_version(outcome: Outcome) -> tuple[RawAnswer, ...]:
    """The outcome was in the journal of a version without details."""
    if isinstance(outcome, Record):
        return (RawAnswer(outcome.raw, None, outcome.made_good_by, "stop"),)
    return keep_last_text(outcome) if outcome.stage == "answer" else ()


def is_final(outcome: Outcome) -> bool:
    """Failures of the input or the endpoint are not about an answer."""
    return isinstance(outcome, Failure) and outcome.stage != "answer"


def describe_record(record: Record) -> AskedTask:
    return AskedTask(
        record.kind,
        record.tag,
        record.question,
        record.seed,
        record.strategy,
        record.question_id,
        record.category,
        record.surrogate,
    )


def keep_last_text(failure: Failure) -> tuple[RawAnswer, ...]:
    if failure.raw is None or has_unknown_ending(failure):
        return ()
    return (RawAnswer(failure.raw, failure.code, (), "stop"),)


def has_unknown_ending(failure: Failure) -> bool:
    """A loop may also have been cut off at the token limit."""
    is_cut = failure.code == "loop" and SENTENCE_END.search(failure.raw or "") is None
    return is_cut or failure.code in ENDING_CODES


def find_lack_of_failure(outcome: Outcome) -> Lack:
    return "ending" if isinstance(outcome, Failure) and has_unknown_ending(outcome) else "question"


@dataclass(frozen=True, slots=True)
class WrittenLineReader:
    """Reads the lines of the output and the failure file of a run without details."""

    task_maker: TaskMaker
    output_key: str
    # Whether ``--output-style answer`` was used, and ``--details``.
    answer_only: bool
    has_meta: bool
    # Whether questions that were drawn can be drawn again.
    has_bank: bool

    def read(self, kept: KeptQuestion, row: Row | None) -> KeptAnswers:
        """Raises ValueError for a line that no run wrote."""
        fields = load_object(kept.line)
        if kept.failed:
            return self._read_failure(kept.task_id, fields, row)
        try:
            return self._read_record(kept.task_id, fields, row)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a line of the output: {error}") from error

    def _read_failure(self, task_id: TaskId, fields: Json, row: Row | None) -> KeptAnswers:
        error = fields["error"]
        code, raw = error["code"], error["raw"]
        stage: Literal["input", "answer"] = "answer" if code in ANSWER_CODES and raw is not None else "input"
        asks = min(error["attempts"], 2)
        failure = Failure(task_id, code, error["message"], stage, error["attempts"], raw, asks=asks)
        if is_final(failure):
            return KeptAnswers(failure, (), None)
        task = self._make_task(task_id, row)
        raws = keep_last_text(failure)
        if task is None or not raws:
            return KeptAnswers(failure, (), None, find_lack_of_failure(failure))
        asked = AskedTask(
            *(task.kind, task.tag, task.question, task.seed),
            *(task.strategy, task.question_id, task.category, task.surrogate),
        )
        failure = replace(failure, task=asked, raws=raws)
        return KeptAnswers(failure, raws, asked, "earlier" if error["attempts"] > 1 else None)

    def _read_record(self, task_id: TaskId, fields: Json, row: Row | None) -> KeptAnswers:
        if self.has_meta:
            meta = fields[f"{self.output_key}_meta"]
            record = outcome_from_details(
                {"row": task_id.row, "question_number": task_id.question, "raws": [], "surrogate": None, **meta}
            )
            assert isinstance(record, Record)
            raws = (RawAnswer(record.raw, None, record.made_good_by, "stop"),)
            surrogate = self._find_surrogate(task_id, row) if record.strategy == "surrogate" else None
            record = replace(record, raws=raws, surrogate=surrogate)
            return KeptAnswers(record, raws, describe_record(record), "earlier" if record.asks > 1 else None)
        task = self._make_task(task_id, row)
        text = fields[self.output_key]
        tag = task.tag if task is not None else (row.tag if row is not None else None) or self.task_maker.tag
        known = task.question if task is not None else None
        question, answer = (known, text) if self.answer_only else split_answer(text, tag, known)
        if question is None:
            empty = Record(task_id, "attribute", tag, "", text, text, 0)
            return KeptAnswers(empty, (), None, "question")
        record = Record(
            task_id,
            "attribute",
            tag,
            question,
            answer,
            answer,
            seed=task.seed if task is not None else 0,
            finish_reason="stop",
            strategy=self.task_maker.strategy,
            question_id=task.question_id if task is not None else None,
            category=task.category if task is not None else None,
            surrogate=task.surrogate if task is not None else None,
            raws=(RawAnswer(answer, None, (), "stop"),),
        )
        return KeptAnswers(record, record.raws, describe_record(record), "raw")

    def _find_surrogate(self, task_id: TaskId, row: Row | None) -> str | None:
        task = self._make_task(task_id, row)
        return task.surrogate if task is not None else None

    def _make_task(self, task_id: TaskId, row: Row | None) -> Task | None:
        if row is None or (row.question is None and not self.has_bank):
            return None
        return self.task_maker.make_task(row, task_id)


def split_answer(text: str, tag: str, question: str | None) -> tuple[str, str]:
    """Question and answer of ``Question: …, Answer: …``; ``question`` is the one that the row has now, if known.

    Raises ValueError.
    """
    if question is not None and text.startswith(prefix := f"Question: {question}, Answer: "):
        return question, text.removeprefix(prefix)
    asked, found, answer = text.removeprefix("Question: ").partition(f", Answer: {tag}")
    if not found:
        raise ValueError("the text has no question and answer")
    return asked, tag + answer


def restore_input_line(kept: KeptQuestion, *, output_key: str, has_meta: bool) -> bytes:
    """The input line, without the members that the run added, and without line break. Raises ValueError."""
    line = kept.line.removesuffix(b"\n")
    if kept.failed:
        return cut_last_member(line, "error")
    if (original := _get_kept_line(kept.details)) is not None:
        return original.encode()
    if has_meta:
        line = cut_last_member(line, f"{output_key}_meta")
    return cut_last_member(line, output_key)


def _get_kept_line(details: tuple[Json, ...]) -> str | None:
    line: Any = details[-1].get("line") if details else None
    return line if isinstance(line, str) else None
