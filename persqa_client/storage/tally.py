"""Counts of a run, for the summary and the run file."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields

from persqa_client.outcomes import Failure, Outcome, Record, Verification
from persqa_client.types import Json, Usage


@dataclass(slots=True)
class Tally:
    """Counts of outcomes. Tokens and attempts include failures that were retried."""

    # Input rows, with one or more tasks each.
    rows: int = 0
    tasks: int = 0
    succeeded: int = 0
    # Failed tasks by code.
    failed: Counter[str] = field(default_factory=Counter)
    # Tasks asked a second time, by problem code of the first answer.
    re_asked: Counter[str] = field(default_factory=Counter)
    # Corrected answers, by step.
    made_good_by: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 0
    # Accepted answers with doubts, and how many have each.
    doubtful: int = 0
    doubts: Counter[str] = field(default_factory=Counter)
    # Latest verdicts of the model on its answers, with the verdict without the pictures: "yes/no".
    verdicts: Counter[str] = field(default_factory=Counter)
    # Requests and tokens of all verifications; included in the attempts and tokens above.
    verification_requests: int = 0
    verification_usage: Usage = field(default_factory=Usage)

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
        if outcome.verification is not None:
            self._add_verification(outcome.verification)
        if isinstance(outcome, Failure):
            self.failed[outcome.code] += 1
        else:
            self.succeeded += 1
            self.made_good_by.update(outcome.made_good_by)
            if outcome.doubts:
                self.doubtful += 1
                self.doubts.update(outcome.doubts)

    def _add_verification(self, verification: Verification) -> None:
        verdict, blind = verification.verdict, verification.blind
        self.verdicts[verdict if blind is None else f"{verdict}/{blind}"] += 1
        self.verification_requests += verification.requests
        self.verification_usage += verification.usage

    def add_tally(self, other: Tally) -> None:
        """Adds the counts of another run."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def remove_failure(self, code: str) -> None:
        """Removes a failed task that was retried. Its tokens and attempts still count."""
        self.tasks -= 1
        self.failed[code] -= 1
        if self.failed[code] <= 0:
            del self.failed[code]

    def remove_answer(self, record: Record) -> None:
        """Removes an answer that was asked again. Its tokens, attempts and re-ask still count."""
        self.tasks -= 1
        self.succeeded -= 1
        self.doubtful -= bool(record.doubts)
        self.made_good_by -= Counter(record.made_good_by)
        self.doubts -= Counter(record.doubts)

    def replace(self, before: Outcome, after: Outcome) -> None:
        """Counts another outcome of a task. Tokens, attempts and re-asks stay as they were."""
        if isinstance(before, Failure):
            self.remove_failure(before.code)
        else:
            self.tasks -= 1
            self.succeeded -= 1
            self.made_good_by.subtract(before.made_good_by)
            self.doubtful -= bool(before.doubts)
            self.doubts.subtract(before.doubts)
        self.tasks += 1
        if isinstance(after, Failure):
            self.failed[after.code] += 1
        else:
            self.succeeded += 1
            self.made_good_by.update(after.made_good_by)
            self.doubtful += bool(after.doubts)
            self.doubts.update(after.doubts)
        self.made_good_by, self.doubts = +self.made_good_by, +self.doubts

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
            "doubtful": self.doubtful,
            "doubts": dict(self.doubts),
            "verification": {
                "verdicts": dict(self.verdicts),
                "requests": self.verification_requests,
                "tokens": asdict(self.verification_usage),
            },
        }

    @classmethod
    def from_json(cls, data: Json) -> Tally:
        # Runs of earlier versions have no counts of doubts and verifications.
        verification = data.get("verification", {"verdicts": {}, "requests": 0, "tokens": {}})
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
            doubtful=data.get("doubtful", 0),
            doubts=Counter(data.get("doubts", {})),
            verdicts=Counter(verification["verdicts"]),
            verification_requests=verification["requests"],
            verification_usage=Usage(**verification["tokens"]),
        )
