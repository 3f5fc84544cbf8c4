"""What a source of rows is.

A run can resume at the position after any line. A position's digest is computed from the previous digest and the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Protocol

from persqa_client.types import Position


class BrokenLine(bytes):
    """What a source can't read as a row, as it stands in the file, and why. It becomes a bad row."""

    reason: str
    # What counts in digests and positions.
    key: bytes

    @classmethod
    def make(cls, text: bytes, reason: str, key: bytes | None = None) -> BrokenLine:
        line = cls(text)
        line.reason = reason
        line.key = text if key is None else key
        return line


class Source(Protocol):
    @property
    def name(self) -> str: ...

    def fingerprint(self) -> dict[str, Any] | None:
        """Equal fingerprints mean an unchanged input; None if there is no cheap check."""
        ...

    def progress_total(self) -> int | None: ...

    def progress_at(self, position: Position) -> int: ...

    def warnings(self) -> tuple[str, ...]:
        """What a run does not use of the input."""
        ...

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        """Lines from ``start`` on, without line ends, each with the position after it."""
        ...

    def digest_at(self, position: Position) -> str:
        """Current digest of the lines before a position."""
        ...


def advance(position: Position, key: bytes) -> Position:
    """The position after a generated line, which counts as ``key``."""
    return Position(position.offset + len(key), position.number + 1, extend_digest(position.digest, key))


def key_of(line: bytes) -> bytes:
    return line.key if isinstance(line, BrokenLine) else line


def extend_digest(digest: str, line: bytes) -> str:
    line = key_of(line)
    return blake2b(line, key=digest.encode(), digest_size=16).hexdigest()
