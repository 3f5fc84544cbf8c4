"""The columns of rows that are packed together with their pictures: what was asked and answered, and the details."""

from __future__ import annotations

from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

# The type of each column that is a plain value: a text, a list of texts, or a whole number.
TEXT, TEXTS, NUMBER = "text", "texts", "number"
COLUMNS = {"id": TEXT, "question": TEXT, "answer": TEXT, "tags": TEXTS, "category": TEXT}
# What ``qa.details.jsonl`` has of an accepted answer.
DETAIL_COLUMNS = {
    "kind": TEXT,
    "raw": TEXT,
    "made_good_by": TEXTS,
    "refused": TEXT,
    "doubts": TEXTS,
    "verdict": TEXT,
    "seed": NUMBER,
    "question_id": TEXT,
    "prompt_tokens": NUMBER,
    "completion_tokens": NUMBER,
    "model": TEXT,
    "run": TEXT,
    "row": NUMBER,
}


def list_columns(*, details: bool) -> dict[str, str]:
    return COLUMNS | DETAIL_COLUMNS if details else COLUMNS


def make_columns(record: DataRecord, *, details: bool) -> Json:
    columns: Json = {
        "id": record.id,
        "question": record.question,
        "answer": record.answer,
        "tags": list(record.tags),
        "category": record.category,
    }
    if not details:
        return columns
    checks, origin = record.checks, record.provenance
    return columns | {
        "kind": record.kind,
        "raw": origin.raw,
        "made_good_by": list(checks.made_good_by),
        "refused": checks.refused,
        "doubts": list(checks.doubts),
        "verdict": checks.verdict,
        "seed": origin.seed,
        "question_id": origin.question_id,
        "prompt_tokens": origin.prompt_tokens,
        "completion_tokens": origin.completion_tokens,
        "model": origin.model,
        "run": origin.run,
        "row": origin.row,
    }


def count_text(columns: Json) -> int:
    """About how many bytes the texts take."""
    return sum(len(value) for value in columns.values() if isinstance(value, str))
