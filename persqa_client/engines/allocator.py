"""Lets the C library keep the memory of one picture for the next. Sets two options of the process."""

from __future__ import annotations

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
KEPT = 64 << 20
"""Bytes that may lie free at the top of a heap before they go back to the system."""
LARGE = 32 << 20
"""Bytes from which on a block is a mapping of its own; the most that glibc allows."""


@cache
def keep_freed_memory() -> None:
    """Once for the process. Does nothing where the C library is another one than glibc.

    A body is half a megabyte, and by default glibc gives such blocks back and asks for them anew each time: making a
    body from a 390 KB picture takes 0.36 ms of page faults then, and 0.01 ms without.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGE)
    mallopt(M_TRIM_THRESHOLD, KEPT)
