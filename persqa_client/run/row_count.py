"""Counts the rows of an input for the progress of a run, while the run is in progress."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Self

from persqa_client.inputs.files import FileSource
from persqa_client.inputs.listed import ListedSource
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.packed_files import ArrowSource, ParquetSource
from persqa_client.inputs.row_layouts import LayoutSource
from persqa_client.inputs.shards import Shard, iterate_rows
from persqa_client.inputs.sources import ImagesSource, SeveralSource, Source
from persqa_client.stores.paths import ObjectPath

# Bytes of a file whose lines are counted at a time; size of the largest file whose lines are counted.
COUNTED_BYTES, MAX_COUNTED = 4 << 20, 4 << 30


class RowCount:
    """Counts the rows of an input in a thread, so that a run over a large file does not wait for it.

    With a shard, these are its rows among the first ``limit`` ones.
    """

    def __init__(self, source: Source, limit: int | None = None, shard: Shard | None = None) -> None:
        self.rows: int | None = None
        self._limit, self._shard = limit, shard
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(source,), daemon=True)
        self._thread.start()

    def _count(self, source: Source) -> None:
        try:
            sources = source.sources if isinstance(source, SeveralSource) else (source,)
            if self._shard is not None:
                self.rows = count_shard(sources, self._limit, self._shard, self._stopped)
                return
            counts = [count_rows(each, self._stopped) for each in sources]
        except OSError:
            return
        if None not in counts:
            self.rows = sum(count for count in counts if count is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()


def count_shard(sources: Sequence[Source], limit: int | None, shard: Shard, stopped: threading.Event) -> int | None:
    """The rows of the shard among the first ``limit`` rows. None as for ``count_rows``."""
    originals = [each.source if isinstance(each, SpooledSource) else each for each in sources]
    if not all(map(is_read_fast, originals)):
        return None
    count = 0
    for row in islice(chain.from_iterable(iterate_rows(each, None) for each in originals), limit):
        if stopped.is_set():
            return None
        count += shard.includes(row)
    return count


def is_read_fast(source: Source) -> bool:
    if type(source) is FileSource:
        return is_counted_file(source.path)
    return isinstance(source, ListedSource | ImagesSource)


def is_counted_file(path: Path) -> bool:
    """A file in an object store would be downloaded for it."""
    return not isinstance(path, ObjectPath) and path.stat().st_size <= MAX_COUNTED


def count_rows(source: Source, stopped: threading.Event) -> int | None:
    """Blank lines of a file count. None for inputs that must be parsed, for files so large or far that reading them
    takes minutes, and once ``stopped`` is set.
    """
    if isinstance(source, SpooledSource):
        source = source.source
    if isinstance(source, LayoutSource):
        source = source.source
    if type(source) is FileSource:
        if not is_counted_file(source.path):
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
