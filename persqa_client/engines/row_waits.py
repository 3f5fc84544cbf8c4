"""Texts about what rows wait for in the run itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Seconds of a row that are worth a word.
NOTICED_SECONDS = 2.0


class RowWait(NamedTuple):
    # Stays the same while figures in the text change.
    kind: str
    text: str
    # Whether it is the end of the run.
    is_stop: bool = False


@dataclass(frozen=True, slots=True)
class RowsInWork:
    # Number of the oldest row, the seconds since it began, and how many tasks run.
    oldest: int
    seconds: float
    running: int
    stopping: bool = False
    # Whether every row of the input has begun, and whether finished rows that wait for earlier ones leave room.
    all_started: bool = False
    has_room: bool = True
    # Number of an answered row that is asked again, to test the model.
    checked: int | None = None


def find_row_wait(rows: RowsInWork) -> RowWait | None:
    if rows.stopping:
        oldest = f"the oldest, of row {rows.oldest:,}, has taken {rows.seconds:.0f} s"
        return RowWait("stop", f"Stopping after the requests in flight; {oldest}", is_stop=True)
    if rows.checked is not None:
        text = f"Asking row {rows.checked:,} again, to see whether the model still gives good answers"
        return RowWait("check", text)
    if rows.seconds < NOTICED_SECONDS:
        return None
    if rows.all_started:
        oldest = f"row {rows.oldest:,}"
        last = oldest if rows.running == 1 else f"the last {rows.running:,} answers; {oldest} is the oldest"
        return RowWait("last", f"Waiting for {last} ({rows.seconds:.0f} s)")
    if not rows.has_room:
        oldest = f"row {rows.oldest:,}, the oldest unfinished one ({rows.seconds:.0f} s)"
        return RowWait("oldest", f"Waiting for {oldest}, before more rows are asked about")
    return None
