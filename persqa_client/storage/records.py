"""Converts outcomes to lines of the output, the failure file and the journal."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from persqa_client.json_members import add_member, cut_last_member, keep_elements, rebuild_array, replace_value
from persqa_client.jsonl import decode_exactly, dump_compact, load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture, Verification
from persqa_client.types import Json, OutputStyle, TaskId, Usage

# Code of lines that are not rows.
NO_ROW = "bad_line"
# Fields of a picture as it was sent.
PICTURE_FIELDS = ("media_type", "width", "height", "bytes", "tokens")
# DataFlow's and LLaVA's names of the list of turns, of a turn's role, and of its text or parts.
CONVERSATION_KEYS = ("conversation", "conversations")
ROLE_KEYS = ("from", "role")
TEXT_KEYS = ("value", "content")
ASKING_ROLES = ("human", "user")
ANSWERING_ROLES = ("gpt", "assistant", "model", "bot")
IMAGE_MARKS = re.compile(r"(?P<before>(?:<image>\s*)*).*?(?P<after>(?:\s*<image>)*)", re.DOTALL)

logger = logging.getLogger(__name__)


def render_outcome(
    line: bytes,
    outcome: Outcome,
    *,
    output_key: str,
    style: OutputStyle,
    details: bool,
    numbered: bool,
    warns: bool = True,
) -> bytes:
    """The line of the output or of the failure file for an input line."""
    if isinstance(outcome, Failure):
        return render_failure(line, outcome, numbered=numbered)
    return render_record(line, outcome, output_key=output_key, style=style, details=details, warns=warns)


def render_record(
    line: bytes, record: Record, *, output_key: str, style: OutputStyle, details: bool, warns: bool = True
) -> bytes:
    """``warns``: whether the rows are those of a user, to whom a member ``question`` would be news."""
    if style == "qa":
        line = add_member(line, output_key, f"Question: {record.question}, Answer: {record.answer}")
    else:
        placed = place_question(line, record.question, record.answer, warns=warns)
        line = add_member(placed, output_key, record.answer)
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
    """``with_file``: adds the values by which a later run detects a change of the file, if there is a file."""
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
    """A line that is not a row becomes ``{"line": …, "error": …}``.

    ``numbered``: also write the number of the first question, for rows with several questions.
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
            if _is_failure_error(load_object(line).get("error")):
                line = cut_last_member(line, "error")
            return add_member(line, "error", error) + b"\n"
    return dump_compact({"line": decode_exactly(line), "error": error}) + b"\n"


def _is_failure_error(error: object) -> bool:
    """Whether ``render_failure`` wrote this object, not the author of the input."""
    return isinstance(error, dict) and {"code", "message", "attempts", "raw", "row"} <= error.keys()


def parse_failure_line(line: bytes) -> tuple[TaskId, str]:
    """Task and error code. Raises ValueError for other lines."""
    error = load_object(line).get("error")
    if not isinstance(error, dict) or not _is_failure_error(error):
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


def place_question(line: bytes, question: str, answer: str, *, warns: bool = True) -> bytes:
    """Puts the question into the user's first turn of a conversation, and the answer into the assistant's turn right
    after it. Later turns are about the old question, and are removed. Rows without such a turn get the question as
    ``question``.
    """
    fields = load_object(line)
    for key in CONVERSATION_KEYS:
        turns = fields.get(key)
        if isinstance(turns, list) and (number := find_question_turn(turns)) is not None:
            return place_in_turns(line, key, turns, number, question, answer)
    if "question" not in fields:
        if warns:
            warn_of_added_questions()
        return add_member(line, "question", question)
    return line if fields["question"] == question else replace_value(line, ("question",), question)


def place_in_turns(line: bytes, key: str, turns: list[Any], number: int, question: str, answer: str) -> bytes:
    last = number
    if any(text_key(turn) and find_role(turn) in ANSWERING_ROLES for turn in turns[number + 1 : number + 2]):
        last = number + 1
        line = place_text(line, (key, last), turns[last], answer)
    line = place_text(line, (key, number), turns[number], question)
    return line if len(turns) == last + 1 else keep_elements(line, (key,), last + 1)


def find_question_turn(turns: Sequence[Any]) -> int | None:
    """The user's first turn; without any, a first turn that has no role."""
    roles = {number: find_role(turn) for number, turn in enumerate(turns) if text_key(turn)}
    asking = (number for number, role in roles.items() if role in ASKING_ROLES)
    return next(asking, 0 if roles.get(0, "") is None else None)


def find_role(turn: dict[str, Any]) -> object:
    return next((turn[key] for key in ROLE_KEYS if key in turn), None)


def place_text(line: bytes, path: tuple[str | int, ...], turn: dict[str, Any], text: str) -> bytes:
    name = text_key(turn)
    assert name is not None
    old = turn[name]
    if isinstance(old, str):
        return replace_value(line, (*path, name), keep_marks(old, text))
    texts = [number for number, part in enumerate(old) if is_text_part(part)]
    if len(texts) == 1:
        path = (*path, name, texts[0], "text")
        return replace_value(line, path, keep_marks(old[texts[0]]["text"], text))
    kept = [number for number in range(len(old)) if number not in texts]
    first = texts[0] if texts else len(old)
    return rebuild_array(line, (*path, name), [*kept[:first], {"type": "text", "text": text}, *kept[first:]])


@lru_cache
def warn_of_added_questions() -> None:
    """Once for all rows."""
    logger.warning(
        "A row has no question, and no conversation with a turn of a user; because only the answer is written, the "
        "question is added to such rows as 'question'."
    )


def text_key(turn: Any) -> str | None:
    """The member with the text, or with a list of parts."""
    if not isinstance(turn, dict):
        return None
    return next((key for key in TEXT_KEYS if isinstance(turn.get(key), str | list)), None)


def is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def keep_marks(old: str, text: str) -> str:
    """``<image>`` marks stay before or after the text."""
    marks = IMAGE_MARKS.fullmatch(old)
    if marks is None or "<image>" not in old:
        return text
    return f"{marks['before']}{text}{marks['after']}"
