"""Texts about what a run does, or waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from persqa_client.endpoints.pool import Member, Pool
from persqa_client.endpoints.session import Session
from persqa_client.engines.row_loop import ANSWERING, RunProgress

# Seconds of a wait that are worth a word, and of a request's wait for a rate limit.
MIN_WAIT, NOTICED_WAIT = 2.0, 2.0
WaitKind = Literal["server", "pause", "rate", "rows"]


class Wait(NamedTuple):
    kind: WaitKind
    text: str


def find_wait(pool: Pool) -> Wait | None:
    """The cause for which all requests wait; None if some endpoint accepts requests."""
    members = [member for member in pool.members if not member.exclusion]
    kinds = {find_kind(member.session) for member in members}
    if not members or None in kinds:
        return None
    if kinds == {"rate"}:
        limits = join_different([member.session.rate_limit.describe_wait() for member in members])
        each = " at each endpoint" if len(members) > 1 else ""
        return Wait("rate", f"Waiting for the rate limit of {limits}{each}")
    if "server" in kinds:
        away = [member for member in members if find_kind(member.session) == "server"]
        seconds = min(member.session.outage.seconds_unavailable for member in away)
        reasons = join_different([(member.session.outage.reason or "").rstrip(".") for member in away])
        return Wait("server", f"Waiting for the server{'s' if len(away) > 1 else ''} ({reasons}; {seconds:.0f} s)")
    seconds = min(member.session.concurrency_limit.seconds_paused for member in members)
    cause = "because the server asks to, or the account's rate limit is used up"
    return Wait("pause", f"Waiting {cause} ({seconds:.0f} s left)")


def find_kind(session: Session) -> WaitKind | None:
    if session.outage.reason is not None:
        return "server"
    if session.concurrency_limit.paused:
        return "pause"
    return "rate" if session.rate_limit.seconds_waited >= NOTICED_WAIT else None


def describe_pause(member: Member) -> str | None:
    """Why one of several endpoints gets no requests."""
    if member.session.outage.reason is None and member.session.concurrency_limit.paused:
        return "the server asks to wait, or the account's rate limit is used up."
    return member.session.outage.reason


def join_different(texts: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))


def describe_trouble(pool: Pool) -> str | None:
    """Describes which of several endpoints are unavailable, and which refuse many requests."""
    included = [member for member in pool.members if not member.exclusion]
    pauses = {member.url: describe_pause(member) for member in included}
    paused = {url: reason for url, reason in pauses.items() if reason is not None}
    if len(paused) == len(pauses):
        return None  # see ``find_wait``
    troubles = [f"unavailable: {url}: {reason}" for url, reason in paused.items()]
    for member in included:
        refusals = member.session.concurrency_limit.describe()
        if refusals is not None and member.url not in paused:
            prefix = f"{member.url}: " if len(pool.members) > 1 else ""
            troubles.append(f"{prefix}{refusals}")
    return " | ".join(troubles) or None


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
