"""The failed attempts of a request, and which of them failed because of an outage of the endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Outage(NamedTuple):
    """State at the start of an outage: the number of answers by then, and the latest request that was answered."""

    answers: int
    answered: int
    # Requests sent before the endpoint was held.
    sent: int
    # Whether a check of the endpoint failed. Otherwise the first trial was answered.
    was_confirmed: bool = True


@dataclass(slots=True, eq=False)
class History:
    """Requests to an endpoint, numbered in the order of sending, and its outages."""

    sent: int = 0
    answers: int = 0
    # The latest of the requests that were answered.
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
    # When the failure arrived.
    mark: Outage
    alone: bool = False  # sent with nothing else in flight
    given_back: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether it does not count. May change later: an outage is noticed only after the first failures.

        An attempt with nothing else in flight counts if the first trial was answered. Otherwise rows that always fail
        are sent for ever at the end of a run.
        """
        self.given_back = self.given_back or any(
            self.number <= outage.sent and self.is_unanswered_at(outage) and (outage.was_confirmed or not self.alone)
            for outage in self.history.outages
        )
        return self.given_back

    def is_unanswered_at(self, mark: Outage) -> bool:
        """Whether no later request had been answered, or no request at all since the failure arrived.

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
