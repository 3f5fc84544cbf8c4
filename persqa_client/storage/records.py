"""Converts outcomes to lines of the output, the failure file and the journal."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

from persqa_client.jsonl import add_member, cut_last_member, decode_exactly, dump_compact, load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture, Verification
from persqa_client.storage.answer_style import place_question
from persqa_client.types import Json, TaskId, Usage

# Code of lines that are no rows.
NO_ROW = "bad_line"
# "qa" writes question and answer as one text, "answer" only the answer.
OutputStyle = Literal["qa", "answer"]
# Of a picture as it was sent.
PICTURE_FIELDS = ("media_type", "width", "height", "bytes", "tokens")


def render_outcome(
    line: bytes, outcome: Outcome, *, output_key: str, style: OutputStyle, details: bool, numbered: bool
) -> bytes:
    """The line of the output or of the failure file for an input line."""
    if isinstance(outcome, Failure):
        return render_failure(line, outcome, numbered=numbered)
    return render_record(line, outcome, output_key=output_key, style=style, details=details)


def render_record(line: bytes, record: Record, *, output_key: str, style: OutputStyle, details: bool) -> bytes:
    if style == "qa":
        line = add_member(line, output_key, f"Question: {record.question}, Answer: {record.answer}")
    else:
        line = add_member(place_question(line, record.question, record.answer), output_key, record.answer)
    if details:
        line = add_member(line, f"{output_key}_meta", record_details(record))
    return line + b"\n"


def record_details(record: Record) -> Json:
    return {
        "question": record.question,
        "answer": record.answer,
        "raw": record.raw,
        "tag": record.tag,
        "kind": record.kind,
        "model": record.model,
        "seed": record.seed,
        "finish_reason": record.finish_reason,
        "attempts": record.attempts,
        "asks": record.asks,
        "made_good_by": record.made_good_by,
        "refused": record.refused,
        "strategy": record.strategy,
        "question_id": record.question_id,
        "category": record.category,
        "pictures": [describe_picture(picture, with_file=False) for picture in record.pictures],
        "usage": usage_to_json(record.usage),
        "doubts": record.doubts,
        "verification": None if record.verification is None else verification_to_json(record.verification),
    }


def describe_picture(picture: SentPicture, *, with_file: bool) -> Json:
    """``with_file``: with what a later run needs to know whether the file has changed, if there is a file."""
    fields = picture._asdict()
    has_file = picture.digest is not None
    return fields if with_file and has_file else {name: fields[name] for name in PICTURE_FIELDS}


def usage_to_json(usage: Usage) -> Json:
    return {"prompt": usage.prompt, "completion": usage.completion}


def verification_to_json(verification: Verification) -> Json:
    return {
        "verdict": verification.verdict,
        "blind": verification.blind,
        "requests": verification.requests,
        "usage": usage_to_json(verification.usage),
    }


def verification_from_json(data: Json) -> Verification:
    return Verification(**{**data, "usage": Usage(**data["usage"])})


def render_failure(line: bytes, failure: Failure, *, numbered: bool = False) -> bytes:
    """A line that is no row becomes ``{"line": …, "error": …}``. ``numbered``: also write the number of the first
    question, for rows with several questions.
    """
    error: Json = {
        "code": failure.code,
        "message": failure.message,
        "attempts": failure.attempts,
        "raw": failure.raw,
        "row": failure.task_id.row,
    }
    if (numbered and not failure.whole_row) or failure.task_id.question > 0:
        error["question"] = failure.task_id.question
    if failure.code != NO_ROW:
        with suppress(ValueError):
            if is_failure_error(load_object(line).get("error")):
                line = cut_last_member(line, "error")
            return add_member(line, "error", error) + b"\n"
    return dump_compact({"line": decode_exactly(line), "error": error}) + b"\n"


def is_failure_error(error: object) -> bool:
    """Whether ``render_failure`` wrote this object, not the author of the input."""
    return isinstance(error, dict) and {"code", "message", "attempts", "raw", "row"} <= error.keys()


def parse_failure_line(line: bytes) -> tuple[TaskId, str]:
    """Task and error code. Raises ValueError for other lines."""
    error = load_object(line).get("error")
    if not isinstance(error, dict) or not is_failure_error(error):
        raise ValueError("not a line of a failure file")
    return TaskId(int(error["row"]), int(error.get("question", 0))), str(error["code"])


def outcome_to_json(outcome: Outcome) -> Json:
    task_id, usage = outcome.task_id, outcome.usage
    shared: Json = {
        "row": task_id.row,
        "question_number": task_id.question,
        "attempts": outcome.attempts,
        "asks": outcome.asks,
        "raw": outcome.raw,
        "refused": outcome.refused,
        "usage": (usage.prompt, usage.completion),
        "pictures": [tuple(picture) if picture.digest else picture.without_file() for picture in outcome.pictures],
        "raws": [tuple(raw) for raw in outcome.raws],
    }
    # Most rows have neither this nor doubts, and earlier versions wrote neither.
    if outcome.verification is not None:
        shared["verification"] = verification_to_json(outcome.verification)
    if isinstance(outcome, Failure):
        own: Json = {"code": outcome.code, "message": outcome.message, "stage": outcome.stage}
        task = outcome.task
        return {**shared, **own, "whole_row": outcome.whole_row, "task": None if task is None else tuple(task)}
    if outcome.doubts:
        shared["doubts"] = outcome.doubts
    return {
        **shared,
        "kind": outcome.kind,
        "tag": outcome.tag,
        "question": outcome.question,
        "answer": outcome.answer,
        "seed": outcome.seed,
        "model": outcome.model,
        "finish_reason": outcome.finish_reason,
        "made_good_by": outcome.made_good_by,
        "strategy": outcome.strategy,
        "question_id": outcome.question_id,
        "category": outcome.category,
        "surrogate": outcome.surrogate,
    }


def outcome_from_json(data: Json) -> Outcome:
    """Raises ValueError. Journals of earlier versions have no raw answers."""
    try:
        fields = dict(data)
        fields["task_id"] = TaskId(fields.pop("row"), fields.pop("question_number"))
        fields["usage"] = Usage(*fields.pop("usage"))
        # The details of an output line have null for none.
        if (verification := fields.get("verification")) is not None:
            fields["verification"] = verification_from_json(verification)
        fields["pictures"] = tuple(SentPicture(*picture) for picture in fields.get("pictures", ()))
        fields["raws"] = tuple(_raw_answer_from_json(raw) for raw in fields.get("raws", ()))
        if "code" in fields:
            task = fields.get("task")
            return Failure(**{**fields, "task": None if task is None else AskedTask(*task)})
        fields["made_good_by"] = tuple(fields["made_good_by"])
        fields["doubts"] = tuple(fields.get("doubts", ()))
        return Record(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an outcome: {error}") from error


def _raw_answer_from_json(values: list[Any]) -> RawAnswer:
    raw = RawAnswer(*values)
    return raw._replace(steps=tuple(raw.steps))
