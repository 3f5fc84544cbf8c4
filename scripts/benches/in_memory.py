"""Maps all files of a folder, so that no system takes them out of its memory. Prints a line when they are there; ends
by SIGTERM.

usage: in_memory.py FOLDER
"""

from __future__ import annotations

import mmap
import signal
import sys
from pathlib import Path


def mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for at in range(0, len(whole), mmap.PAGESIZE):
        whole[at]
    return whole


if __name__ == "__main__":
    held = [mapped(path) for path in Path(sys.argv[1]).iterdir()]
    print(f"{len(held)} files", flush=True)
    signal.pause()
