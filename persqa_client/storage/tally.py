"""The counts of a run, for its summary and its run file. Pure; as small after a million units as after one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from persqa_client.types import Failure, Json, Outcome


@dataclass(slots=True)
class Tally:
    """What came of the units so far. Tokens and attempts are those paid, so a retried failure's stay in."""

    rows: int = 0
    """Input rows; each is asked one question or several."""
    units: int = 0
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """By code."""
    re_asked: Counter[str] = field(default_factory=Counter)
    """Units that were asked again, whatever came of it, by the code of what was wrong with the first answer."""
    made_good_by: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 0

    @property
    def failed_total(self) -> int:
        """Failed units, whatever their code."""
        return self.failed.total()

    def add(self, outcome: Outcome) -> None:
        self.units += 1
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

    def take_back(self, code: str) -> None:
        """Forgets a unit that failed with ``code`` and has been asked again; what it cost stays counted."""
        self.units -= 1
        self.failed[code] -= 1
        if self.failed[code] <= 0:
            del self.failed[code]

    def to_json(self) -> Json:
        return {
            "rows": self.rows,
            "units": self.units,
            "good": self.succeeded,
            "failed": dict(self.failed),
            "re_asked": dict(self.re_asked),
            "made_good_by": dict(self.made_good_by),
            "tokens": {"prompt": self.prompt_tokens, "completion": self.completion_tokens},
            "attempts": self.attempts,
        }

    @classmethod
    def from_json(cls, data: Json) -> Tally:
        """Raises KeyError or TypeError where ``data`` is not what ``to_json`` gave."""
        return cls(
            rows=data["rows"],
            units=data["units"],
            succeeded=data["good"],
            failed=Counter(data["failed"]),
            re_asked=Counter(data["re_asked"]),
            made_good_by=Counter(data["made_good_by"]),
            prompt_tokens=data["tokens"]["prompt"],
            completion_tokens=data["tokens"]["completion"],
            attempts=data["attempts"],
        )
