"""Changes of a decision by a page, and the question with which a new answer is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from persqa_client.outcomes import AskedTask, Record
from persqa_client.report.row_reader import ReportRow
from persqa_client.run.pipeline import describe_task
from persqa_client.storage.decisions import Decision, DecisionKind, current_time
from persqa_client.types import Json

MAX_COMMENT_LENGTH = 10_000


def make_decision(before: Decision, change: Mapping[str, str | None]) -> Decision:
    """Raises ValueError."""
    kinds: dict[str | None, DecisionKind] = {
        "accept": "accept",
        "reject": "reject",
        "edit": "edit",
        "none": "none",
        None: before.kind,
    }
    kind, comment = kinds.get(change.get("kind")), change.get("comment")
    text = change.get("text") if "text" in change else before.text
    if kind is None or (kind == "edit" and not (text or "").strip()):
        raise ValueError("not a decision")
    if comment is not None and len(comment) > MAX_COMMENT_LENGTH:
        raise ValueError("the comment is too long")
    return replace(
        before,
        kind=kind,
        text=text if kind == "edit" else None,
        comment=before.comment if comment is None else comment.strip(),
        time=current_time(),
    )


def describe_asked(row: ReportRow, identity: Json) -> AskedTask:
    if isinstance(row.outcome, Record):
        return describe_task(row.outcome)
    return row.outcome.task or AskedTask("attribute", f"<{identity['tag']}>", row.question, 0)
