"""A limit that a server refused: how long and how far to stay below it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

PATIENCE, LONGEST_PATIENCE, OUTAGE_PATIENCE = 5.0, 10.0, 60.0
"""Seconds that the limit is kept below one that was refused; twice as long when it is refused again."""
QUIET = 20
"""Answers, too, that come before it is tried again, so that refusals stay few where answers are slow."""
MEMORY = 60.0
"""Seconds more for which it counts as what the server takes."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The limit that was refused last, and until when it is kept away from."""

    limit: int
    until: float
    patience: float

    def hit(self, limit: int, now: float, patience: float) -> Ceiling:
        """The one after a further refusal, which may be of the same limit again."""
        if 0.85 * self.limit <= limit <= 1.1 * self.limit:
            patience = max(patience, min(LONGEST_PATIENCE, 2 * self.patience))
        return Ceiling(limit, now + patience, patience)

    def lower(self, wanted: int, limit: int, now: float, answers: int) -> int:
        """What may be tried in place of ``wanted``: less than was refused, or later no more than just that.

        ``answers`` have come since.
        """
        waits = now < self.until or answers < QUIET
        return min(wanted, self.limit - 1 if waits else max(self.limit, limit + 1))

    def fresh(self, now: float) -> bool:
        """Whether the server has told lately what is too much."""
        return now < self.until + MEMORY
