"""Python's garbage collector, set for a long run. Changes the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 10_000
"""New objects between two looks for cycles. By default it is 700, and each look goes through what hundreds of rows
under way hold: 15 % of a run's CPU, and more beside a data frame. What a run makes is freed without looking, but for
the rows that fail."""


def look_at_no_imports() -> None:
    """For the command line alone, before its large imports: nearly all that they make stays. Until ``look_seldom``."""
    gc.disable()


def look_seldom() -> None:
    """For the command line alone. Call it when all that stays has been imported: that is not looked at any more."""
    gc.freeze()
    gc.set_threshold(SELDOM)
    gc.enable()


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """For a run in somebody else's process: as long as it goes on, unless they look as seldom themselves, or never."""
    before = gc.get_threshold()
    if not 0 < before[0] < SELDOM:
        yield
        return
    gc.set_threshold(SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
