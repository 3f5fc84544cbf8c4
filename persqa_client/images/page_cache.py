"""Reads a file without waiting for a disk: at once where the system has it in memory, else it is asked to fetch it.

To hand a picture to a thread and back costs more than all else about one that goes out as its own bytes.
"""

from __future__ import annotations

import os

AT_ONCE = 1_000_000
"""Bytes; what is larger would keep an event loop for a millisecond or more while it is read and looked through."""


class NotCached(Exception):
    """Not in memory, or not all of it; it is being fetched."""


class CanNotTell(Exception):
    """This system, or the file system that the file is on, does not say what it has in memory."""


def read_cached(path: str, size: int) -> bytes | None:
    """All of a regular file that has ``size`` bytes; None where it has not, can't be opened or is larger than AT_ONCE.

    Raises NotCached and CanNotTell. A page that goes in the very moment between look and reading is waited for.
    """
    if not 0 < size <= AT_ONCE:
        return None
    if not hasattr(os, "RWF_NOWAIT"):
        raise CanNotTell
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not is_cached(file, size):
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
                raise NotCached
            data = os.read(file, size + 1)
        finally:
            os.close(file)
    except OSError:
        return None
    return data if len(data) == size else None


def is_cached(file: int, size: int) -> bool:
    """Whether the first, the middle and the last byte can be read at once; files are fetched in one go, so all can.

    Raises CanNotTell.
    """
    byte = bytearray(1)
    try:
        for at in (size - 1, size // 2, 0):
            os.preadv(file, [byte], at, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CanNotTell from error
    return True
