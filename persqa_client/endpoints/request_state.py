"""History of a request: its failed attempts, and which of them failed because of an outage of the endpoint."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from persqa_client.types import ErrorDecision, RetryAction

# In place of the code of an attempt that did not fail, for example if the answer is incomplete.
RESENT = "resent"


class Outage(NamedTuple):
    """State at the start of an outage: the number of answers by then, and the latest request that was answered."""

    answers: int
    answered: int
    # Number of requests sent before the endpoint was held.
    sent: int
    # True if a check of the endpoint failed. False if the first trial was answered, so that the outage is doubtful.
    was_confirmed: bool = True


@dataclass(slots=True, eq=False)
class History:
    """Requests to an endpoint, numbered in the order of sending, and its outages."""

    sent: int = 0
    answers: int = 0
    # Number of the latest request that was answered.
    answered: int = 0
    outages: list[Outage] = field(default_factory=list)

    def record_answer(self, number: int) -> None:
        self.answers += 1
        self.answered = max(self.answered, number)

    def mark(self) -> Outage:
        return Outage(self.answers, self.answered, self.sent)


@dataclass(slots=True, eq=False)
class Attempt:
    history: History
    number: int
    # State when the failure arrived.
    mark: Outage
    alone: bool = False  # sent with nothing else in flight
    given_back: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether the attempt does not count. May change later: an outage is noticed only after the first failures.

        An attempt with nothing else in flight counts if the first trial was answered. Without this rule, rows that
        always fail would be sent for ever at the end of a run.
        """
        self.given_back = self.given_back or any(
            self.number <= outage.sent and self.is_unanswered_at(outage) and (outage.was_confirmed or not self.alone)
            for outage in self.history.outages
        )
        return self.given_back

    def is_unanswered_at(self, mark: Outage) -> bool:
        """Whether one of these was true at ``mark``: no request that was sent later had been answered, or no request
        had been answered since the failure arrived.

        Answers to older requests do not count, because the endpoint may have accepted them before the outage.
        """
        return self.number > mark.answered or self.mark.answers == mark.answers


@dataclass(slots=True, eq=False)
class Attempts:
    """Failed attempts of one request at all endpoints."""

    _failed: list[Attempt] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._failed)

    def used(self, since: int = 0) -> int:
        """Number of attempts that count, from position ``since`` on."""
        return sum(not attempt.is_lost for attempt in self._failed[since:])

    def add(self, history: History, number: int, *, alone: bool = False) -> None:
        self._failed.append(Attempt(history, number, history.mark(), alone))

    def unanswered(self, history: History) -> int:
        return sum(attempt.is_unanswered_at(history.mark()) for attempt in self._counted_at(history))

    def give_back_unanswered(self, history: History) -> None:
        """Gives back the attempts that failed in the same outage as the latest one."""
        counted = self._counted_at(history)
        for attempt in counted:
            attempt.given_back = attempt.is_unanswered_at(counted[-1].mark)

    def _counted_at(self, history: History) -> list[Attempt]:
        return [attempt for attempt in self._failed if attempt.history is history and not attempt.is_lost]


class Failover(Protocol):
    """The other endpoints of a pool."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def can_outlast_outage(self) -> bool: ...


@dataclass(slots=True)
class LoadRefusals:
    """Refusals of a request because of load.

    ``seconds``: time between refusals in which the endpoint answered other requests and had no outage. The wait for a
    ``Retry-After`` does not count, unless a trial was answered just before the request was sent again.
    """

    count: int = 0
    seconds: float = 0.0
    in_vain: int = 0  # repeated refusals, without an answer to another request since the previous refusal
    others_answered: bool = False  # whether others were answered between the latest two refusals
    had_trial: bool = False  # whether there was a trial since the latest refusal
    _answers: int = 0  # number of answers by the endpoint, when the latest refusal arrived
    _outages: int = 0
    _at: float = 0.0  # when the latest refusal arrived
    _until: float = 0.0  # when the request was to be sent again

    def add(self, now: float, retry_after: float | None, *, answers: int, outages: int) -> None:
        self.others_answered = self.count > 0 and answers > self._answers
        self.in_vain += self.count > 0 and not self.others_answered
        if self.others_answered and outages == self._outages:
            self.seconds += max(0.0, now - (self._at if self.had_trial else self._until))
        self.count += 1
        self.had_trial, self._answers, self._outages = False, answers, outages
        self._at, self._until = now, now + (retry_after or 0.0)


@dataclass(slots=True)
class RequestState:
    failover: Failover | None = None
    number: int = field(default_factory=itertools.count().__next__)
    tolerated_crashes: int = 0  # with several endpoints, one crash is weak evidence against the request
    sent: int = 0  # requests, including those that do not count as attempts
    latest_code: str = RESENT  # code of the latest attempt, if it failed
    attempts: Attempts = field(default_factory=Attempts)  # at all endpoints
    attempts_elsewhere: int = 0  # number of ``attempts`` at earlier endpoints; these come first
    waits: int = 0
    load_refusals: LoadRefusals = field(default_factory=LoadRefusals)
    # Latest failure that may be the start of an outage; None once this is decided.
    latest_failure: ErrorDecision | None = None
    answers_at_failure: int = -1  # number of answers by the endpoint, at the time of that failure
    latest_number: int = 0  # number of the latest attempt, among all that were sent to the endpoint
    # Whether the request was in flight at the first failure after the endpoint's latest answer.
    was_in_flight: bool = False
    recorded_outages: int = 0
    was_alone: bool = False  # whether the latest attempt was the only one of a suspect in flight
    outages_hit: int = 0  # outages that began or continued with an attempt of this request
    refusals: int = 0  # refusals that another endpoint has to confirm
    held_failures: int = 0  # held failures after which the request was sent again
    # Outages that began with this request in flight, with other requests answered in between.
    crashes: int = 0
    answers_at_crash: int = -1

    @property
    def has_failed_here(self) -> bool:
        return self.attempts.used(since=self.attempts_elsewhere) > 0

    @property
    def attempts_used(self) -> int:
        """Counted towards ``max_attempts``."""
        return self.attempts.used()

    def is_suspect(self, outages: int) -> bool:
        """Whether this request may have crashed the server. ``outages``: those of this endpoint so far."""
        is_undecided = self.latest_failure is not None and outages > self.recorded_outages
        return is_undecided or self.crashes > self.tolerated_crashes

    def next_wait_number(self) -> int:
        self.waits += 1
        return self.waits - 1

    def record_failure(self, decision: ErrorDecision, history: History, *, was_in_flight: bool = True) -> None:
        if history.answers > self.answers_at_failure:
            self.was_in_flight = False
        self.was_in_flight = self.was_in_flight or was_in_flight
        if decision.action is RetryAction.RETRY:
            self.attempts.add(history, self.latest_number, alone=self.was_alone)
        self.latest_failure, self.answers_at_failure = decision, history.answers

    def record_outages(self, history: History) -> None:
        """Counts a crash if an outage since the last call began with the request in flight."""
        outages = history.outages[self.recorded_outages :]
        self.recorded_outages += len(outages)
        self.outages_hit += self.latest_failure is not None
        if self.latest_failure is not None and any(one.answers == self.answers_at_failure for one in outages):
            self.crashes += self.was_in_flight and self.answers_at_failure > self.answers_at_crash
            self.answers_at_crash = self.answers_at_failure
        self.latest_failure = None

    def continue_from(self, other: RequestState) -> None:
        self.sent, self.attempts, self.waits = other.sent, other.attempts, other.waits
        self.crashes, self.refusals, self.held_failures = other.crashes, other.refusals, other.held_failures
        self.attempts_elsewhere = len(other.attempts)
