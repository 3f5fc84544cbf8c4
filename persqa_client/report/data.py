"""Turns the rows of runs into the JSON that the page reads: what all rows share, then parts with some rows each.

Members without a value are left out. ``web/rows.js`` reads what is written here. Pure, but for the thumbnails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from persqa_client.images.references import describe_reference
from persqa_client.jsonl import dump_compact
from persqa_client.language import detect_language
from persqa_client.outcomes import Failure, RawAnswer, Record
from persqa_client.report.matching import match_rows
from persqa_client.report.near_duplicates import ComparedAnswer, group_answers, list_group_sizes
from persqa_client.report.plots import make_timeline_json
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import ReportedRun, RunState
from persqa_client.report.thumbnails import MAX_THUMBNAILS, Picture, Thumbnail, make_thumbnails, sample_evenly
from persqa_client.types import NO_USAGE, Json

FORMAT = 1
ROWS_PER_PART = 500
# Steps that are not repairs: what makes the answer begin with the tag, and the second question.
NOT_REPAIRS = frozenset({"constraint", "prefill", "re-ask"})
# Longer texts are cut; a model in a loop writes megabytes.
MAX_TEXT_LENGTH = 20_000


class ReportData:
    """Numbers pictures and questions in the order in which they are first used."""

    def __init__(self, runs: Sequence[ReportedRun], max_thumbnails: int = MAX_THUMBNAILS) -> None:
        self._runs = runs
        self._pictures: dict[Picture, int] = {}
        for run in runs:
            for row in run.rows:
                for reference in row.images:
                    self._pictures.setdefault(Picture(reference, run.roots), len(self._pictures))
        self._sample = sample_evenly(len(self._pictures), max_thumbnails)
        self._groups = group_answers(self._list_answers())
        self._matches = match_rows([run.rows for run in runs]) if len(runs) > 1 else None

    def _list_answers(self) -> Iterator[ComparedAnswer | None]:
        questions: dict[str, int] = {}
        for index, run in enumerate(self._runs):
            for row in run.rows:
                outcome = row.outcome
                if isinstance(outcome, Failure):
                    yield None
                    continue
                question = questions.setdefault(outcome.question, len(questions))
                pictures = tuple(self._pictures[Picture(reference, run.roots)] for reference in row.images)
                yield ComparedAnswer(index, question, pictures, outcome.answer.replace(outcome.tag, ""))

    @property
    def row_count(self) -> int:
        return sum(len(run.rows) for run in self._runs)

    @property
    def picture_count(self) -> int:
        return len(self._pictures)

    @property
    def thumbnail_count(self) -> int:
        return len(self._sample)

    def describe(self) -> Json:
        names = name_outputs([run.output for run in self._runs])
        return {
            "format": FORMAT,
            "rows": self.row_count,
            "pictures": self.picture_count,
            "thumbnails": self.thumbnail_count,
            "group_sizes": list_group_sizes(self._groups),
            "is_matched": self._matches is not None,
            "runs": [make_run_json(run, name) for run, name in zip(self._runs, names, strict=True)],
        }

    def iter_parts(self) -> Iterator[Json]:
        """Each has the rows, and the questions and pictures that no earlier part has. Makes the thumbnails."""
        pictures = list(self._pictures)
        thumbnails = make_thumbnails([pictures[number] for number in self._sample])
        sampled = frozenset(self._sample)
        questions: dict[str, int] = {}
        groups = iter(self._groups)
        described = 0
        part: Json = {"rows": [], "questions": [], "pictures": []}
        for index, run in enumerate(self._runs):
            for place, row in enumerate(run.rows):
                numbers = [self._pictures[Picture(reference, run.roots)] for reference in row.images]
                while described <= max(numbers, default=-1):
                    thumbnail = next(thumbnails) if described in sampled else Thumbnail()
                    part["pictures"].append(make_picture_json(pictures[described], thumbnail))
                    described += 1
                text = row.question
                if text not in questions:
                    questions[text] = len(questions)
                    part["questions"].append([cut_text(text), detect_language(text) or ""])
                name = make_row_name(row, index, len(self._runs), numbers_questions=run.numbers_questions)
                fields = {"id": name, "run": index, "pictures": numbers, "question": questions[text]}
                fields["group"] = next(groups)
                if self._matches is not None:
                    fields["match"] = self._matches[index][place]
                part["rows"].append(drop_empty(fields | make_row_json(row, run.identity)))
                if len(part["rows"]) == ROWS_PER_PART:
                    yield part
                    part = {"rows": [], "questions": [], "pictures": []}
        if part["rows"]:
            yield part


def name_outputs(outputs: Sequence[Path]) -> list[str]:
    """The names of the outputs, or their paths if several have the same name."""
    names = [output.name for output in outputs]
    return names if len(set(names)) == len(names) else [str(output) for output in outputs]


def describe_output(output: Path, name: str, state: RunState, identity: Json) -> Json:
    return {
        "name": name,
        "file": str(output),
        "state": state,
        "model": identity.get("model"),
        "tag": f"<{identity['tag']}>",
    }


def make_run_json(run: ReportedRun, name: str) -> Json:
    return {
        **describe_output(run.output, name, run.state, run.identity),
        "rows": len(run.rows),
        "without_details": run.without_details,
        "waiting": sum(row.is_waiting for row in run.rows),
        "timeline": make_timeline_json(run.timeline),
    }


def make_row_name(row: ReportRow, index: int, count: int, *, numbers_questions: bool) -> str:
    """Stays the same when the report is made again: number of the input line, and of its question if it has several.
    Several runs have numbers, too.
    """
    if row.task_id is None:
        own = f"o{row.line}"
    else:
        own = f"{row.task_id.row}.{row.task_id.question + 1}" if numbers_questions else f"{row.task_id.row}"
    return own if count == 1 else f"{index + 1}-{own}"


def make_row_json(row: ReportRow, identity: Json) -> Json:
    outcome, usage = row.outcome, row.outcome.usage
    fields: Json = {
        "attempts": outcome.attempts if outcome.attempts > 1 else 0,
        "asks": outcome.asks if outcome.asks > 1 else 0,
        "refused": outcome.refused,
        "tokens": [usage.prompt, usage.completion] if usage != NO_USAGE else None,
        "raws": [make_raw_json(raw, outcome) for raw in outcome.raws],
        "verdict": outcome.verification.verdict if outcome.verification is not None else None,
        "edited": row.edited,
        "waiting": row.is_waiting,
        "decision": make_decision_json(row),
    }
    if isinstance(outcome, Failure):
        tag = outcome.task.tag if outcome.task is not None else ""
        fields |= {"code": outcome.code, "message": outcome.message, "stage": outcome.stage}
        if not outcome.raws and outcome.raw:
            fields["raws"] = [{"text": cut_text(outcome.raw)}]
        if outcome.code == "bad_line" and row.text:
            fields["raws"] = [{"text": cut_text(row.text)}]
    else:
        tag = outcome.tag
        fields |= {
            "answer": cut_text(outcome.answer),
            "steps": list(outcome.made_good_by),
            "repaired": any(step not in NOT_REPAIRS for step in outcome.made_good_by),
            "doubts": list(outcome.doubts),
        }
        if not outcome.raws and outcome.raw != outcome.answer:
            fields["raws"] = [{"text": cut_text(outcome.raw)}]
    return fields | {"tag": tag if tag != f"<{identity['tag']}>" else None}


def make_decision_json(row: ReportRow) -> Json | None:
    """``about``: the text that a stale decision is about."""
    decision = row.decision
    if decision is None:
        return None
    is_stale = decision.answer != row.decided_text
    fields = {
        "kind": decision.kind,
        "text": None if decision.text is None else cut_text(decision.text),
        "comment": cut_text(decision.comment),
        "time": decision.time,
        "stale": is_stale,
        "about": cut_text(decision.answer) if is_stale else None,
    }
    return drop_empty(fields)


def make_raw_json(raw: RawAnswer, outcome: Record | Failure) -> Json:
    """The raw answer as JSON, without the text if it is the answer."""
    text = raw.text or raw.refusal or ""
    is_answer = isinstance(outcome, Record) and text == outcome.answer
    return drop_empty(
        {
            "text": None if is_answer else cut_text(text),
            "same": is_answer,
            "problem": raw.problem,
            "steps": list(raw.steps),
            "ending": raw.finish_reason if raw.finish_reason != "stop" else None,
            "tokens": raw.completion_tokens,
        }
    )


def make_picture_json(picture: Picture, thumbnail: Thumbnail) -> list[str]:
    return [describe_reference(picture.reference), thumbnail.uri, thumbnail.problem]


def drop_empty(fields: Json) -> Json:
    """Zero stays where it is a number of something: a run, a question or a match."""
    return {
        name: value
        for name, value in fields.items()
        if name in ("run", "question", "match") or value not in (None, "", 0, False, [])
    }


def cut_text(text: str) -> str:
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}…"


def escape_json(value: object) -> str:
    """JSON that can stand in a script element: no text in it ends the element or begins a comment."""
    text = dump_compact(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
