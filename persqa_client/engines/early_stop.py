"""Stops a run whose first results are all the same endpoint failure.

The breaker of a session (endpoints/breaker.py) has then shown that the endpoint works, so the settings may be wrong.
"""

from __future__ import annotations

import re

from persqa_client.errors import RunStopped
from persqa_client.types import Failure, Outcome

# Number of equal failures at the start that stop a run.
FIRST_RESULTS = 20


class EarlyStop:
    """Stops a run if its first results are all the same endpoint failure.

    Such failures are held back until a different result arrives.
    """

    def __init__(self, first_results: int = FIRST_RESULTS, *, passed: bool = False) -> None:
        self._first_results = first_results
        self._held: list[Failure] = []
        self._passed = passed

    def admit(self, outcome: Outcome) -> list[Outcome]:
        """Returns the outcomes that may be stored now. Raises RunStopped.

        Input failures, such as a missing image, are always returned and do not count.
        """
        if self._passed or (isinstance(outcome, Failure) and outcome.stage == "input"):
            return [outcome]
        if not isinstance(outcome, Failure) or outcome.stage != "endpoint" or not self._equals_held(outcome):
            self._passed = True
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
        return not self._held or failure_kind(self._held[0]) == failure_kind(failure)

    def release(self) -> list[Outcome]:
        """Returns the failures that are still held back at the end."""
        held, self._held = self._held, []
        return list(held)


def failure_kind(failure: Failure) -> tuple[str, str]:
    """The code, and the server's text without numbers, which differ from row to row."""
    return failure.code, re.sub(r"\d+", "#", failure.raw or "")
