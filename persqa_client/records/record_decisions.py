"""Applies what people decided about the answers of runs to the records of these runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from persqa_client.records.data_record import DataRecord
from persqa_client.storage.decisions import Subject, read_decisions
from persqa_client.types import TaskId

# Keys of the counts, besides the kinds of decisions.
STALE, FAILED, NOT_ACCEPTED = "stale", "failed", "not_accepted"


class RecordDecisions:
    """Reads the decisions of all outputs when it is made. Raises SettingsError for a file that has something else."""

    def __init__(self, outputs: Sequence[Path]) -> None:
        self._decisions = {output: read_decisions(output) for output in outputs}
        self._subjects: set[tuple[Path, Subject]] = set()
        self._counts: Counter[str] = Counter()

    def are_about(self, output: Path) -> bool:
        """Whether there are any."""
        return output in self._decisions and len(self._decisions[output]) > 0

    def accepts(self, record: DataRecord, output: Path) -> bool:
        """Whether somebody accepted or edited this answer."""
        found = self._decisions[output].find(find_subject(record), record.answer)
        return found is not None and bool(found.final_text)

    def apply(self, record: DataRecord, output: Path) -> DataRecord | None:
        """The record, with the new answer of an edit, or None for a rejected answer. To be called once for each."""
        decisions = self._decisions[output]
        subject = find_subject(record)
        found = decisions.find(subject, record.answer)
        if found is None:
            stale = decisions.find_stale(subject, record.answer)
            if stale is not None:
                self._subjects.add((output, stale.subject))
                self._counts[STALE] += stale.kind != "none"
            return record
        self._subjects.add((output, found.subject))
        if found.kind == "none":
            return record
        self._counts[found.kind] += 1
        self._counts[FAILED] += found.final_text is not None and record.checks.problem is not None
        return None if found.final_text is None else replace(record, answer=found.final_text)

    def count(self) -> dict[str, int]:
        """Counts the decisions that were applied, by kind, and those that were not. Call it after all records.

        ``stale``: about another answer. ``failed``: those that accept or edit an answer of a failed question, which are
        also counted by kind. ``not_accepted``: they accept or edit an answer that no record has.
        """
        left = sum(
            decision.final_text is not None and (output, decision.subject) not in self._subjects
            for output, decisions in self._decisions.items()
            for decision in decisions
        )
        return {name: number for name, number in sorted({**self._counts, NOT_ACCEPTED: left}.items()) if number}


def find_subject(record: DataRecord) -> Subject:
    place = record.provenance
    task_id = None if place.row is None else TaskId(place.row, place.question_number)
    return Subject(task_id, record.images, record.question)
