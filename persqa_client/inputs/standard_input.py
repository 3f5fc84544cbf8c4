"""Rows from standard input, which are kept in a temporary folder until the end of the run."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator

from persqa_client.inputs.source import Source
from persqa_client.types import Position


class SpooledSource:
    name = "-"

    def __init__(self, source: Source, folder: str) -> None:
        self.source = source
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def fingerprint(self) -> None:
        return None

    def progress_total(self) -> int | None:
        return self.source.progress_total()

    def progress_at(self, position: Position) -> int:
        return self.source.progress_at(position)

    def warnings(self) -> tuple[str, ...]:
        return (
            "Standard input is read only once: if this run is interrupted, it can't be resumed, unless the same rows "
            "are piped in again.",
            *self.source.warnings(),
        )

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        return self.source.lines(start)

    def digest_at(self, position: Position) -> str:
        return self.source.digest_at(position)
