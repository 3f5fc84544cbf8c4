"""The failed attempts of a request, and which of them were lost in a bad time of the endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Outage(NamedTuple):
    """When the bad time began: the number of answers by then, and the latest request that was answered."""

    answers: int
    answered: int
    # Requests sent until the endpoint was held.
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
        """Whether it costs nothing. Known only later: an outage is noticed after the first failures.

        An attempt that was sent alone counts if the first trial was answered: rows that always fail, at the end of a
        run, would otherwise be sent for ever.
        """
        self.given_back = self.given_back or any(
            self.number <= outage.sent and self.is_unanswered_at(outage) and (outage.was_confirmed or not self.alone)
            for outage in self.history.outages
        )
        return self.given_back

    def is_unanswered_at(self, mark: Outage) -> bool:
        """Whether nothing that was sent later had been answered, or nothing at all since the failure arrived.

        Answers to older requests prove nothing: they may have been accepted before the endpoint became bad.
        """
        return self.number > mark.answered or self.mark.answers == mark.answers


@dataclass(slots=True, eq=False)
class Attempts:
    """Of one request, at all endpoints."""

    _failed: list[Attempt] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._failed)

    def used(self, since: int = 0) -> int:
        """Those that count, from the given position on."""
        return sum(not attempt.is_lost for attempt in self._failed[since:])

    def add(self, history: History, number: int, *, alone: bool = False) -> None:
        self._failed.append(Attempt(history, number, history.mark(), alone))

    def unanswered(self, history: History) -> int:
        return sum(attempt.is_unanswered_at(history.mark()) for attempt in self._counted_at(history))

    def give_back_unanswered(self, history: History) -> None:
        """Those of the bad time in which the latest attempt failed."""
        counted = self._counted_at(history)
        for attempt in counted:
            attempt.given_back = attempt.is_unanswered_at(counted[-1].mark)

    def _counted_at(self, history: History) -> list[Attempt]:
        return [attempt for attempt in self._failed if attempt.history is history and not attempt.is_lost]
