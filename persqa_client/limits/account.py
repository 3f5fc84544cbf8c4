"""The shared state of the processes that share an account's limits, and how they divide the limits. No I/O.

Times are in seconds, on a clock that all processes of the machine share.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# Seconds without news of a process after which its lock shows whether it still runs.
SILENCE = 5.0
# Seconds for which a process has one of the permits that are too few for all.
TURN = 2.0
# Seconds by which a reservation may lie in the past, so that none is lost between two of them.
SLACK = 0.05


@dataclass(slots=True)
class ProcessNeeds:
    """``held``: permits that it may be using. ``wanted``: those that it could use."""

    held: int = 0
    wanted: int = 0
    seen: float = 0.0


@dataclass(slots=True)
class Account:
    """``reserved``: by the name of a rate, the time until which it is reserved. ``settings``: the limits in words."""

    settings: str = ""
    paused_until: float = 0.0
    reserved: dict[str, float] = field(default_factory=dict)
    processes: dict[str, ProcessNeeds] = field(default_factory=dict)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Account:
        """Raises KeyError, TypeError or ValueError for what ``to_json`` has not made."""
        processes = {check_process_name(name): ProcessNeeds(**needs) for name, needs in fields["processes"].items()}
        for needs in processes.values():
            needs.held, needs.wanted, needs.seen = int(needs.held), int(needs.wanted), float(needs.seen)
        return cls(
            str(fields["settings"]),
            float(fields["paused_until"]),
            {str(name): float(until) for name, until in fields["reserved"].items()},
            processes,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def list_silent(self, now: float) -> list[str]:
        """Processes that may have died. Those seen in the future were seen before the machine started."""
        return [name for name, needs in self.processes.items() if not 0 <= now - needs.seen <= SILENCE]

    def remove(self, name: str) -> None:
        """Removes a process. After the last one, all reservations are removed."""
        self.processes.pop(name, None)
        if not self.processes:
            self.settings, self.paused_until = "", 0.0
            self.reserved.clear()

    def reserve(self, rate_name: str, seconds: float, now: float, burst: float = 0.0) -> float:
        """Reserves the time that ``seconds`` of a rate take, after all others. Returns when that time begins.

        ``burst``: seconds of the rate that may be used at once.
        """
        begin = max(self.reserved.get(rate_name, 0.0), now - max(burst, SLACK))
        self.reserved[rate_name] = begin + seconds
        return begin

    def share_permits(self, name: str, needs: ProcessNeeds, total: int) -> int:
        """Records the needs of a process, and returns how many permits it may use.

        A process that may use fewer than before still holds the others, until it reports that it has let them go.
        """
        self.processes[name] = needs
        wanted = {each: other.wanted for each, other in self.processes.items()}
        fair = divide_fairly(wanted, total, turn=int(needs.seen / TURN))[name]
        others = sum(other.held for each, other in self.processes.items() if each != name)
        granted = max(0, min(fair, total - others))
        needs.held = max(needs.held, granted)
        return granted


def check_process_name(name: str) -> str:
    """Raises ValueError for the path of another file: the lock of a dead process is removed."""
    if os.path.basename(name) != name or name in ("", os.curdir, os.pardir):
        raise ValueError(f"{name!r} is no name of a process")
    return name


def divide_fairly(wanted: Mapping[str, int], total: int, turn: int = 0) -> dict[str, int]:
    """Gives each the same, but none more than it wants. What is too little for all goes to some of them in turn.

    >>> divide_fairly({"a": 9, "b": 2, "c": 9}, 10)
    {'a': 4, 'b': 2, 'c': 4}
    """
    shares = dict.fromkeys(wanted, 0)
    hungry = sorted(name for name in wanted if wanted[name] > 0)
    while hungry and total >= len(hungry):
        part = total // len(hungry)
        for name in hungry:
            given = min(part, wanted[name] - shares[name])
            shares[name] += given
            total -= given
        hungry = [name for name in hungry if shares[name] < wanted[name]]
    first = turn * total % len(hungry) if hungry else 0
    for name in (hungry[first:] + hungry[:first])[:total]:
        shares[name] += 1
    return shares
