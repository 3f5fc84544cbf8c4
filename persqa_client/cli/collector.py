"""Python's garbage collector, set for a long run. Changes the process: for the command line alone."""

from __future__ import annotations

import gc

SELDOM = 10_000
"""New objects between two looks for cycles. By default it is 700, and each look goes through what hundreds of rows
under way hold: 15 % of a run's CPU. What a run makes is freed without looking, but for the rows that fail."""


def look_at_no_imports() -> None:
    """Call it before the large imports: nearly all that they make stays. Until ``look_seldom``."""
    gc.disable()


def look_seldom() -> None:
    """Call it when all that stays has been imported: that is not looked at any more."""
    gc.freeze()
    gc.set_threshold(SELDOM)
    gc.enable()
