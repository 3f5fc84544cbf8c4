"""History of a request at one endpoint: attempts, waits and outages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from persqa_client.types import ErrorDecision, RetryAction


class Failover(Protocol):
    """The other endpoints of a pool."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def can_outlast_outage(self) -> bool: ...


@dataclass(slots=True)
class RequestState:
    failover: Failover | None = None
    tolerated_crashes: int = 0  # with several endpoints, one crash is weak evidence against the request
    sent: int = 0  # requests, including those that cost no attempt
    attempts_used: int = 0  # counted towards ``max_attempts``
    attempts_elsewhere: int = 0  # part of ``attempts_used`` at earlier endpoints
    waits: int = 0
    refused_since: float | None = None  # time of the first refusal due to load
    # Latest failure that may be the start of an outage; None once that is decided.
    connection_failure: ErrorDecision | None = None
    answers_at_failure: int = -1  # number of answers by the endpoint, at the time of that failure
    unanswered_attempts: int = 0  # attempts since the endpoint last answered any request
    settled_outages: int = 0
    # Outages that began with this request in flight, with other requests answered in between.
    crashes: int = 0
    answers_at_crash: int = -1

    @property
    def has_failed_here(self) -> bool:
        return self.attempts_used > self.attempts_elsewhere

    def is_suspect(self, outages: int) -> bool:
        """Whether this request may have crashed the server. ``outages``: number at this endpoint."""
        unsettled = self.connection_failure is not None and outages > self.settled_outages
        return unsettled or self.crashes > self.tolerated_crashes

    def next_wait_number(self) -> int:
        self.waits += 1
        return self.waits - 1

    def record_refusal(self, now: float) -> float:
        if self.refused_since is None:
            self.refused_since = now
        return now - self.refused_since

    def record_connection_failure(self, decision: ErrorDecision, answers: int) -> None:
        if answers > self.answers_at_failure:
            self.unanswered_attempts = 0
        self.unanswered_attempts += decision.action is RetryAction.RETRY
        self.connection_failure, self.answers_at_failure = decision, answers

    def give_back_unanswered_attempts(self) -> None:
        self.attempts_used -= self.unanswered_attempts
        self.unanswered_attempts = 0

    def settle_outages(self, outages: int, answers_before: int) -> None:
        """Gives back the attempts of a new outage, and counts a crash if it began with the request in flight.

        ``outages``: number at this endpoint. ``answers_before``: answers by the endpoint before the latest outage.
        """
        self.settled_outages = outages
        if self.connection_failure is not None and self.answers_at_failure == answers_before:
            self.attempts_used -= self.unanswered_attempts
            self.crashes += answers_before > self.answers_at_crash
            self.answers_at_crash = answers_before
        self.connection_failure, self.unanswered_attempts = None, 0

    def continue_from(self, other: RequestState) -> None:
        self.sent, self.attempts_used, self.waits = other.sent, other.attempts_used, other.waits
        self.crashes = other.crashes
        self.attempts_elsewhere = other.attempts_used
