"""Whether the first results speak of the rows or of the run. Pure."""

from __future__ import annotations

import re

from persqa_client.errors import RunStopped
from persqa_client.types import Failure, Outcome

FIRST_RESULTS = 20


class Probation:
    """Holds the endpoint's first refusals back until one result differs: twenty alike are the run's fault."""

    def __init__(self, most: int = FIRST_RESULTS, *, passed: bool = False) -> None:
        self._most = most
        self._held: list[Failure] = []
        self._passed = passed

    def judge(self, outcome: Outcome) -> list[Outcome]:
        """The outcomes that may be written now. Raises RunStopped when the first results are all the same refusal.

        Failures that no endpoint had a part in (a missing picture) go through and prove nothing.
        """
        if self._passed or (isinstance(outcome, Failure) and outcome.stage == "input"):
            return [outcome]
        if not isinstance(outcome, Failure) or outcome.stage != "endpoint" or not self._alike(outcome):
            self._passed = True
            return [*self.release(), outcome]
        self._held.append(outcome)
        if len(self._held) >= self._most:
            raise RunStopped(
                outcome.code,
                f"The first {self._most} results were all the same, so the run would bring nothing: {outcome.message} "
                "No row was written as failed.",
            )
        return []

    def _alike(self, failure: Failure) -> bool:
        return not self._held or _kind(self._held[0]) == _kind(failure)

    def release(self) -> list[Outcome]:
        """What is held back, when the run ends before it was decided."""
        held, self._held = self._held, []
        return list(held)


def _kind(failure: Failure) -> tuple[str, str]:
    """Code and the server's words without their numbers, which differ from row to row."""
    return failure.code, re.sub(r"\d+", "#", failure.raw or "")
