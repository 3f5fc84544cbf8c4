"""Stops a run whose first results show that the others would fail, too. Until then, the failures are held back.

A run is stopped if

- the first results are all the same endpoint failure. The breaker of a session (endpoints/breaker.py) has then shown
  that the endpoint works, so the settings may be wrong;
- none of the first rows could be asked about: the input may be wrong.

Rejected answers can stop it at any time, see bad_answers.py.
"""

from __future__ import annotations

import re
from collections import Counter

from persqa_client.errors import RunStopped, UnusableInput
from persqa_client.outcomes import Failure, Outcome

# Number of equal failures at the start that stop a run.
FIRST_RESULTS = 20
# Minimum number of rows of an unusable input. A single unusable row only fails itself.
MIN_ROWS = 2
LATER_ROWS = "If later rows are good, let these fail with --max-bad-rows 0."
# Advice by code of an input failure.
UNUSABLE_ADVICE = {
    "bad_line": "Correct these rows, or leave them out. In JSONL, a row is one JSON object on a line.",
    "no_image": "Check --image-key.",
    "bad_image_field": "Check --image-key.",
    "image_missing": "Check the paths, the working directory and --image-root.",
}


class EarlyStop:
    """Stops a run if its first results are all the same endpoint failure.

    Such failures are held back until a different result arrives.
    """

    def __init__(self, first_results: int = FIRST_RESULTS, *, passed: bool = False) -> None:
        self._first_results = first_results
        self._held: list[Failure] = []
        # Whether nothing is held back any more.
        self.has_passed = passed

    def admit(self, outcome: Outcome) -> list[Outcome]:
        """Returns the outcomes that may be stored now. Raises RunStopped.

        Input failures, such as a missing image, are always returned and do not count.
        """
        if self.has_passed or (isinstance(outcome, Failure) and outcome.stage == "input"):
            return [outcome]
        if not isinstance(outcome, Failure) or outcome.stage != "endpoint" or not self._equals_held(outcome):
            self.has_passed = True
            return [*self.release(), outcome]
        self._held.append(outcome)
        if len(self._held) >= self._first_results:
            raise RunStopped(
                outcome.code,
                f"The first {self._first_results} results were the same failure, so the run was stopped: "
                f"{outcome.message} No failed rows were written.",
            )
        return []

    def _equals_held(self, failure: Failure) -> bool:
        return not self._held or _get_failure_kind(self._held[0]) == _get_failure_kind(failure)

    def release(self) -> list[Outcome]:
        """Returns the failures that are still held back at the end."""
        held, self._held = self._held, []
        return list(held)


def _get_failure_kind(failure: Failure) -> tuple[str, str]:
    """The code, and the server's text without numbers, which differ from row to row."""
    return failure.code, re.sub(r"\d+", "#", failure.raw or "")


class UnusableStart:
    """Holds back the failures of the first rows until one row is usable.

    ``limit``: number of unusable rows after which the input counts as unusable; 0 disables the check.
    ``whole``: whether the first row of the input is included; if so, a shorter input can be unusable, too.
    """

    def __init__(self, limit: int, *, passed: bool = False, whole: bool = True) -> None:
        self._limit = limit
        self._whole = whole
        # Whether nothing is held back any more.
        self.has_passed = passed or not limit
        self._held: list[Failure] = []
        self._codes = Counter[str]()
        self._last_row = 0
        self._rows = 0
        self._example: Failure | None = None
        self._written = 0

    @property
    def is_at_limit(self) -> bool:
        return not self.has_passed and self._rows >= self._limit

    @property
    def is_unusable_at_end(self) -> bool:
        return not self.has_passed and self._whole and self._rows >= MIN_ROWS

    def admit(self, outcome: Outcome, *, has_usable_rows: bool, has_room: bool) -> list[Outcome]:
        """Returns the outcomes that may be stored now.

        ``has_usable_rows``: whether a question of a row was or is being sent. ``has_room``: whether there is memory to
        hold more rows.
        """
        if self.has_passed:
            return [outcome]
        if has_usable_rows or not isinstance(outcome, Failure) or outcome.stage != "input":
            self.has_passed = True
            return [*self.release(), outcome]
        self._held.append(outcome)
        # Failures of the questions of one row may arrive in between those of others, which only counts rows twice.
        if outcome.task_id.row != self._last_row:
            self._last_row = outcome.task_id.row
            self._rows += 1
            self._codes[outcome.code] += 1
            # Outcomes arrive in any order.
            if self._example is None or outcome.task_id < self._example.task_id:
                self._example = outcome
        if has_room:
            return []
        self._written += len(self._held)
        return self.release()

    def release(self) -> list[Outcome]:
        held, self._held = self._held, []
        return list(held)

    def explain(self, *, at_end: bool = False) -> UnusableInput:
        example = self._example
        assert example is not None
        counts = ", ".join(f"{name} {count:,}" for name, count in self._codes.most_common())
        advice = UNUSABLE_ADVICE.get(self._codes.most_common(1)[0][0])
        written = f" {self._written:,} of them are in the failure file." if self._written else ""
        rows = f"{'' if at_end else 'first '}{self._rows:,} rows"
        return UnusableInput(
            example.code,
            f"None of the {rows} could be asked about ({counts}), so the run was stopped. "
            f"{example.message}{'' if example.message.endswith('.') else '.'} "
            f"{'' if advice is None else advice + ' '}"
            f"{written.lstrip() or 'None of these rows was marked as failed.'} "
            + ("To let them fail, add --max-bad-rows 0." if at_end else LATER_ROWS),
            shown=example.message,
        )
