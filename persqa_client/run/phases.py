"""What a run does, or waits for, in words."""

from __future__ import annotations

from typing import NamedTuple

from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.waits import find_wait
from persqa_client.engines.row_loop import ANSWERING, RunProgress

# Seconds of a wait that are worth a word.
MIN_WAIT = 2.0


class Phase(NamedTuple):
    # Stays the same while figures in the text change.
    kind: str
    text: str
    is_wait: bool = False


def find_phase(progress: RunProgress, pool: Pool) -> Phase:
    own = progress.find_wait()
    if own is not None and own.is_stop:
        return Phase(own.kind, own.text, is_wait=True)
    if (wait := find_wait(pool)) is not None:
        return Phase(wait.kind, wait.text, is_wait=True)
    return describe_work(progress) if own is None else Phase(own.kind, own.text, is_wait=True)


def describe_work(progress: RunProgress) -> Phase:
    return Phase(progress.phase, progress.phase)


class PhaseWatch:
    """Leaves out waits of less than two seconds."""

    def __init__(self) -> None:
        self.shown = Phase("", "")
        # When the phase that is shown began.
        self.since = 0.0
        self._kind, self._kind_since = "", 0.0

    def update(self, now: float, progress: RunProgress, pool: Pool) -> Phase:
        phase = find_phase(progress, pool)
        if phase.kind != self._kind:
            self._kind, self._kind_since = phase.kind, now
        if phase.is_wait and now - self._kind_since < MIN_WAIT:
            phase = describe_work(progress)
        if phase.kind != self.shown.kind:
            self.since = now
        self.shown = phase
        return phase


def is_answering(progress: RunProgress) -> bool:
    return progress.phase == ANSWERING
