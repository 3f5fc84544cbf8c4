"""Reads small files that the system has in its page cache, without waiting for a disk."""

from __future__ import annotations

import os

# Larger files are not read in the event loop: they would block it for a millisecond or more.
MAX_CACHED_BYTES = 1_000_000


def read_cached_file(path: str, size: int) -> bytes | None:
    """The content of a small regular file if the system has it in its page cache, else None. Does not wait for a disk.

    Also None if the file cannot be read, has another size, or the system does not say what it has cached.
    """
    if not hasattr(os, "RWF_NOWAIT") or not 0 < size <= MAX_CACHED_BYTES:
        return None
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # Small files are read ahead as a whole: if these bytes are cached, the others are.
            for offset in (size - 1, size // 2, 0):
                os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT)
            data = os.read(file, size + 1)
        finally:
            os.close(file)
    except OSError:
        return None
    return data if len(data) == size else None
