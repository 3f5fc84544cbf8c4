"""What a failed attempt changes for the run, before the request itself is tried again or ended."""

from __future__ import annotations

from time import monotonic

from persqa_client.client.classify import DISTANT
from persqa_client.client.retry import Trial
from persqa_client.config import Limits
from persqa_client.endpoints.outage import Outage
from persqa_client.errors import RowError, RunStopped
from persqa_client.limits.concurrency import Admission
from persqa_client.limits.control import Lease
from persqa_client.types import Act, Verdict

DEATHS = 3
"""So often may the server go away with a row in flight; once or twice is chance."""


class Reactions:
    """Tells admission and outage of failures, and ends requests that have gone through too much."""

    def __init__(self, limits: Limits, admission: Admission, outage: Outage) -> None:
        self._limits = limits
        self._admission = admission
        self._outage = outage

    def react(self, verdict: Verdict, lease: Lease, trial: Trial) -> None:
        """Raises RunStopped where the run can't go on, RowError where the row can't."""
        if verdict.act is Act.RETRY:
            self._spent(verdict, lease, trial)
        elif verdict.act is Act.WAIT:
            self._admission.pressed(lease, self._bounded(verdict))
            self._bear_pressure(verdict, trial)
            self._outage.pressed(verdict.message)
        elif verdict.act is Act.AWAY:
            if verdict.code == "engine_dead":
                trial.lose(verdict, self._outage.answers)
            self._outage.begin(verdict.message)
        elif verdict.act is Act.STOP:
            raise RunStopped(verdict.code, verdict.message)
        elif verdict.act is not Act.ADAPT:
            self._outage.over()

    def _spent(self, verdict: Verdict, lease: Lease, trial: Trial) -> None:
        trial.spent += 1
        if verdict.code == "timeout":
            self._admission.timed_out(lease)
        if verdict.code in DISTANT:
            trial.lose(verdict, self._outage.answers)
            self._outage.pressed(verdict.message)

    def _bounded(self, verdict: Verdict) -> float | None:
        """The Retry-After, where the run can wait for so long; else the run stops."""
        if verdict.retry_after is not None and verdict.retry_after > self._limits.max_outage:
            raise RunStopped(
                "rate_limited",
                f"The server asks to wait {verdict.retry_after:.0f} s, more than --max-outage "
                f"{self._limits.max_outage:g}: {verdict.message} Give the same command again later.",
            )
        return verdict.retry_after

    def _bear_pressure(self, verdict: Verdict, trial: Trial) -> None:
        """Pressure costs a row no attempt, but a row that alone is turned away for ever must end."""
        now = monotonic()
        if trial.first_pressure is None:
            trial.first_pressure = now
        if now - trial.first_pressure > self._limits.max_outage and self._outage.quiet:
            message = f"Turned away for {now - trial.first_pressure:.0f} s: {verdict.message}"
            raise RowError("busy", message, raw=verdict.raw, attempts=trial.spent)

    def survive(self, trial: Trial) -> None:
        """Settles what an outage cost a request. Raises RowError where it may be what brings the server down."""
        verdict = trial.lost
        trial.outlive(self._outage.count, self._outage.answers_before)
        if verdict is not None and trial.deaths >= max(DEATHS, self._limits.max_attempts):
            raise RowError(
                "engine_dead",
                f"The server went away {trial.deaths} times with this row in flight, and answered others in between: "
                f"{verdict.message} Look whether its picture or question brings the server down.",
                raw=verdict.raw,
                attempts=trial.deaths,
            )

    async def excused(self, verdict: Verdict, trial: Trial) -> bool:
        """Whether the attempts were spent only because the server is away; they are then given back."""
        if verdict.code not in DISTANT or trial.heard != self._outage.answers:
            return False
        enough = trial.unheard >= min(2, self._limits.max_attempts)
        if not enough or not await self._outage.explains(verdict.message):
            return False
        # Here, not after the outage: somebody else may have been answered before the gate was shut.
        trial.spent, trial.unheard = trial.spent - trial.unheard, 0
        return True


def final(verdict: Verdict, trial: Trial) -> RowError:
    """What a row fails with after its last attempt."""
    attempts = trial.spent + (verdict.act is Act.FAIL)
    tries = f" after {attempts} attempts" if verdict.act is Act.RETRY and attempts > 1 else ""
    message = f"{verdict.message.rstrip('.')}{tries}."
    return RowError(verdict.code, message, raw=verdict.raw, attempts=attempts)
