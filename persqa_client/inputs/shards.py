"""Divides the rows of an input among several runs, and selects the rows of one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from persqa_client.inputs.sources import BrokenLine, NamedLine, Source, encode_name, read_named_lines
from persqa_client.types import START_POSITION

MAX_SHARDS = 100_000
SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")


class Shard(NamedTuple):
    """One of ``total`` parts of the rows. ``number`` counts from 1."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def includes(self, row: NamedLine) -> bool:
        """Whether the row is in this shard. This depends on the row alone, so equal rows are in the same shard.

        A row of a listed file counts as the name of the file, any other as its line.
        """
        key = encode_name(row.name) if row.name is not None else row.line
        counted = key.key if isinstance(key, BrokenLine) else key
        return int.from_bytes(blake2b(counted, digest_size=8).digest(), "big") % self.total == self.number - 1


def parse_shard(text: str) -> Shard:
    """
    >>> parse_shard("3/16")
    Shard(number=3, total=16)

    Raises ValueError.
    """
    found = SHARD.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be two whole numbers such as 3/16, the third of 16 parts")
    shard = Shard(int(found[1]), int(found[2]))
    if not 1 <= shard.total <= MAX_SHARDS:
        raise ValueError(f"the number of parts, {shard.total}, must be from 1 to {MAX_SHARDS:,}")
    if not 1 <= shard.number <= shard.total:
        raise ValueError(f"parts are numbered from 1 to {shard.total}, and this one has the number {shard.number}")
    return shard


def read_shard(value: object) -> Shard | None:
    """Accepts a text such as ``3/16`` as the value of a setting. Raises ValueError."""
    return value if value is None or isinstance(value, Shard) else parse_shard(str(value))


def iterate_rows(source: Source, limit: int | None, shard: Shard | None = None) -> Iterator[NamedLine]:
    """The rows of the input's first ``limit`` rows that are in the shard. Blank lines are no rows."""
    lines = (line for line in read_named_lines(source, START_POSITION) if line.line.strip())
    first = islice(lines, limit)
    return first if shard is None else filter(shard.includes, first)


def count_rows_before(source: Source, number: int) -> int:
    """The rows among the first ``number`` lines, those of all shards."""
    if number == 0:
        return 0
    return sum(bool(line.line.strip()) for line in islice(read_named_lines(source, START_POSITION), number))
