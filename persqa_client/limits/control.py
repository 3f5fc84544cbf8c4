"""What decides how many requests are under way at once: its face, and the plain one that keeps to a number. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from persqa_client.limits.server_metrics import Gauges

SHRINK = 0.75
"""A refused request takes a quarter of the slots away; one burst of refusals does so once."""
REGROW = 0.05
"""Each limit's worth of answers gives so much of it back, or one."""
STRIKES, STRIKE_SHARE = 2, 0.05
"""So many time-outs, and so large a share of all ends, are more than chance."""


@dataclass(slots=True)
class Lease:
    """A slot while it is held: what was true when it was given."""

    cuts: int = 0
    """How often the limit had been cut: late refusals of one burst tell themselves apart from new ones."""
    level: int = 0
    """How often the limit had been changed."""
    in_use: int = 0
    """Slots in use, this one included."""
    since: float = 0.0
    held: bool = False
    """Whether it waited for something that says nothing about the server's pace."""


class Controller(Protocol):
    """Decides on the number of slots. ``now`` is in seconds, of any clock that only goes forward."""

    @property
    def slots(self) -> int:
        """As many as may be in use now, at least 1."""
        ...

    @property
    def cuts(self) -> int: ...
    @property
    def level(self) -> int: ...
    def answered(self, lease: Lease, tokens: int, now: float) -> None:
        """An answer came; ``tokens`` is its length."""
        ...

    def refused(self, lease: Lease, now: float) -> None:
        """The server turned a request away. One burst cuts once."""
        ...

    def timed_out(self, lease: Lease, now: float) -> None:
        """A request got no answer in its time; several are a sign of a server that has too much to do."""
        ...

    def away(self, now: float) -> None:
        """The server went away with all that was in flight, and may have done so because it was too much."""
        ...

    def looked(self, gauges: Gauges, in_use: int, now: float) -> None:
        """The server told of itself."""
        ...


@dataclass(slots=True)
class Strikes:
    """Time-outs among the ends of requests since the limit was cut last."""

    timeouts: int = 0
    ends: int = 0

    @property
    def out(self) -> bool:
        return self.timeouts >= STRIKES and self.timeouts >= STRIKE_SHARE * self.ends


@dataclass(slots=True)
class Fixed:
    """A number that a person chose: fewer after refusals, and back to it with the answers that follow."""

    most: int
    cuts: int = 0
    limit: float = field(init=False)
    _strikes: Strikes = field(default_factory=Strikes)

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    @property
    def slots(self) -> int:
        return max(1, int(self.limit))

    @property
    def level(self) -> int:
        return self.cuts

    def answered(self, lease: Lease, tokens: int, now: float) -> None:
        """What was sent before a cut says nothing of the time after it."""
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self.limit = min(self.most, self.limit + max(1 / self.limit, REGROW))

    def refused(self, lease: Lease, now: float) -> None:
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self._cut()

    def timed_out(self, lease: Lease, now: float) -> None:
        self._strikes.ends += 1
        if lease.cuts == self.cuts:
            self._strikes.timeouts += 1
            if self._strikes.out:
                self._cut()

    def away(self, now: float) -> None:
        self._cut()

    def looked(self, gauges: Gauges, in_use: int, now: float) -> None:
        """Nothing: the number was chosen."""

    def _cut(self) -> None:
        self.cuts += 1
        self.limit = max(1.0, self.limit * SHRINK)
        self._strikes = Strikes()
