"""Maps all files of a folder into memory until SIGTERM, and prints a line when they are read.

usage: hold_in_memory.py FOLDER
"""

from __future__ import annotations

import mmap
import signal
import sys
from pathlib import Path


def map_file(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for offset in range(0, len(mapping), mmap.PAGESIZE):
        mapping[offset]
    return mapping


if __name__ == "__main__":
    mappings = [map_file(path) for path in Path(sys.argv[1]).iterdir()]
    print(f"{len(mappings)} files", flush=True)
    signal.pause()
