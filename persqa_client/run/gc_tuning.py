"""Garbage-collector settings for a long run.

By default Python looks for reference cycles after every 700 new objects, and each pass walks the objects of hundreds of
rows in progress: 15 % of a run's CPU time, and more beside a data frame. A run creates few cycles (for failed rows
only), so passes can be rare.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects between two passes.
THRESHOLD = 10_000


def pause_gc_for_imports() -> None:
    """Turns the collector off during the imports of the command line, whose objects are permanent."""
    gc.disable()


def tune_gc() -> None:
    """Excludes all imported objects from collection and makes passes rare, for the rest of the process."""
    gc.freeze()
    gc.set_threshold(THRESHOLD)
    gc.enable()


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Makes passes rare within the context, for a run inside another program.

    Changes nothing if the program has turned the collector off, or made passes rarer itself.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < THRESHOLD:
        yield
        return
    gc.set_threshold(THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
