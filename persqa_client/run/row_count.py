"""Counts the rows of an input for the progress of a run, while the run goes on."""

from __future__ import annotations

import threading
from typing import Self

from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.packed_files import ArrowSource, ParquetSource
from persqa_client.inputs.sources import SeveralSource, Source

# Bytes of a file whose lines are counted at a time; size of the largest file whose lines are counted.
COUNTED_BYTES, MAX_COUNTED = 4 << 20, 4 << 30


class RowCount:
    """Counts the rows of an input in a thread, so that a run over a large file does not wait for it."""

    def __init__(self, source: Source) -> None:
        self.rows: int | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(source,), daemon=True)
        self._thread.start()

    def _count(self, source: Source) -> None:
        try:
            sources = source.sources if isinstance(source, SeveralSource) else (source,)
            counts = [count_rows(each, self._stopped) for each in sources]
        except OSError:
            return
        if None not in counts:
            self.rows = sum(count for count in counts if count is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()


def count_rows(source: Source, stopped: threading.Event) -> int | None:
    """Blank lines of a file count. None for inputs that must be parsed, for files so large that reading them takes
    minutes, and once ``stopped`` is set.
    """
    if isinstance(source, SpooledSource):
        source = source.source
    if type(source) is FileSource:
        if source.path.stat().st_size > MAX_COUNTED:
            return None
        lines, last = 0, b"\n"
        with source.path.open("rb", buffering=0) as file:
            while block := file.read(COUNTED_BYTES):
                if stopped.is_set():
                    return None
                lines, last = lines + block.count(b"\n"), block[-1:]
        return lines + (last != b"\n")
    is_counted = isinstance(source, ParquetSource | ArrowSource) or not isinstance(source, FileSource)
    return source.progress_total() if is_counted else None
