"""Holds back rows whose answers fail the checks, until the model gives a good answer.

A model can fail while its server still answers. For example, every answer is "!!!!" after a numerical error, or a
refusal.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from persqa_client.errors import RunStopped
from persqa_client.outcomes import Failure, Outcome

# Minimum number of held rows at the end of the input for which the model is tried before they are stored.
MIN_STREAK = 3
# Maximum characters of an answer in a message.
EXAMPLE_LENGTH = 160
# Advice by code of the check.
ADVICE = {
    **dict.fromkeys(
        ("no_tag", "pronoun_only", "only_tag", "placeholder", "unknown_tag"), "Another --strategy may help."
    ),
    "truncated": "A larger --max-tokens may help.",
    "wrong_language": "Check --language.",
    "not_verified": "--verify off accepts answers that the model itself does not confirm.",
    "name_leak": "Check --names.",
}
OTHER_ADVICE = "Check the model and the server's log."


class HeldFailure(NamedTuple):
    failure: Failure
    # Number of jobs that had ended, including this one.
    ended: int


class BadAnswers:
    """Holds failures of the answer checks with any code, until an answer passes the checks.

    ``limit``: failures in a row, without an answer that passes, after which the model counts as bad; 0 for none.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[HeldFailure] = []
        self._in_a_row = 0

    @property
    def is_at_limit(self) -> bool:
        return 0 < self._limit <= self._in_a_row

    @property
    def is_streak(self) -> bool:
        return bool(self._limit) and self._in_a_row >= min(MIN_STREAK, self._limit)

    def admit(self, outcome: Outcome, *, began: int, ended: int) -> list[Outcome]:
        """Returns the outcomes that may be stored now.

        ``began``, ``ended``: number of jobs that had ended when this one began, and after this one. A good answer
        releases the failures that ended before its job began, because the model worked after them.
        """
        if isinstance(outcome, Failure):
            if outcome.stage != "answer" or not self._limit:
                return [outcome]
            self._held.append(HeldFailure(outcome, ended))
            self._in_a_row += 1
            return []
        self._in_a_row = 0
        own = [held.failure for held in self._held if held.ended <= began]
        self._held = [held for held in self._held if held.ended > began]
        return [*own, outcome]

    def release(self) -> list[Outcome]:
        """Returns all held failures. Call it if the model works, or at the end of the run."""
        released: list[Outcome] = [held.failure for held in self._held]
        self._held.clear()
        self._in_a_row = 0
        return released

    def drop(self) -> int:
        """Forgets the held failures, whose rows are asked again by the next run. Returns their number."""
        return len(self.release())

    def explain(self, *, tried: bool) -> RunStopped:
        """``tried``: whether a row that had been answered before was asked again."""
        codes = Counter(held.failure.code for held in self._held)
        example = self._held[-1].failure
        counts = ", ".join(f"{name} {count:,}" for name, count in codes.most_common())
        trial = ", and so was the answer to a row that had been answered before" if tried else ""
        return RunStopped(
            example.code,
            f"The last {len(self._held):,} answers were rejected ({counts}){trial}, so the run was stopped. "
            f"{example.message}{quote_answer(example)} None of these rows was marked as failed. "
            f"{ADVICE.get(example.code, OTHER_ADVICE)} If the rows are the reason, let them fail with "
            "--max-bad-answers 0.",
        )


def quote_answer(failure: Failure) -> str:
    """The answer on one line, shortened."""
    text = " ".join((failure.raw or "").split())
    shown = text if len(text) <= EXAMPLE_LENGTH else f"{text[:EXAMPLE_LENGTH]}…"
    if not shown:
        return " The answer had no text."
    return f' The answer was: "{shown}"' + ("" if shown[-1] in ".!?…" else ".")
