"""The counts of a run, for its summary and its run file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from persqa_client.types import Failure, Json, Outcome


@dataclass(slots=True)
class Tally:
    """Counts of outcomes. Tokens and attempts include those of failures that were retried."""

    # Input rows. Each has one task or several.
    rows: int = 0
    tasks: int = 0
    succeeded: int = 0
    # Failed tasks by code.
    failed: Counter[str] = field(default_factory=Counter)
    # Tasks that were asked a second time, by the code of the problem with the first answer.
    re_asked: Counter[str] = field(default_factory=Counter)
    # Good answers by the steps that they owe their form to.
    made_good_by: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 0

    @property
    def failed_total(self) -> int:
        return self.failed.total()

    def add(self, outcome: Outcome) -> None:
        self.tasks += 1
        self.attempts += outcome.attempts
        self.prompt_tokens += outcome.usage.prompt
        self.completion_tokens += outcome.usage.completion
        if outcome.refused is not None:
            self.re_asked[outcome.refused] += 1
        if isinstance(outcome, Failure):
            self.failed[outcome.code] += 1
        else:
            self.succeeded += 1
            self.made_good_by.update(outcome.made_good_by)

    def remove_failure(self, code: str) -> None:
        """Uncounts a failed task that has a new outcome. Its tokens and attempts stay counted."""
        self.tasks -= 1
        self.failed[code] -= 1
        if self.failed[code] <= 0:
            del self.failed[code]

    def to_json(self) -> Json:
        return {
            "rows": self.rows,
            "units": self.tasks,
            "good": self.succeeded,
            "failed": dict(self.failed),
            "re_asked": dict(self.re_asked),
            "made_good_by": dict(self.made_good_by),
            "tokens": {"prompt": self.prompt_tokens, "completion": self.completion_tokens},
            "attempts": self.attempts,
        }

    @classmethod
    def from_json(cls, data: Json) -> Tally:
        """Raises KeyError or TypeError if ``data`` is not from ``to_json``."""
        return cls(
            rows=data["rows"],
            tasks=data["units"],
            succeeded=data["good"],
            failed=Counter(data["failed"]),
            re_asked=Counter(data["re_asked"]),
            made_good_by=Counter(data["made_good_by"]),
            prompt_tokens=data["tokens"]["prompt"],
            completion_tokens=data["tokens"]["completion"],
            attempts=data["attempts"],
        )
