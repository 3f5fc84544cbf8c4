"""Which rows are in a shard."""

from __future__ import annotations

import pytest

from persqa_client.inputs.shards import Shard, count_rows_before, iterate_rows, parse_shard
from persqa_client.inputs.sources import BrokenLine, InMemorySource, NamedLine
from persqa_client.types import START_POSITION
from tests.support.cases import each_case

ROWS = [{"image": f"{number}.jpg"} for number in range(40)]


def line_of(text: bytes, name: str | None = None) -> NamedLine:
    return NamedLine(text, START_POSITION, name)


def select(rows: list[dict[str, str]], limit: int | None, shard: Shard | None) -> list[bytes]:
    return [row.line for row in iterate_rows(InMemorySource(rows), limit, shard)]


@each_case(
    ("text", "message"),
    [
        ("3", "must be two whole numbers such as 3/16, the third of 16 parts"),
        ("3/x", "must be two whole numbers such as 3/16, the third of 16 parts"),
        ("-1/4", "must be two whole numbers such as 3/16, the third of 16 parts"),
        ("0/4", "parts are numbered from 1 to 4, and this one has the number 0"),
        ("5/4", "parts are numbered from 1 to 4, and this one has the number 5"),
        ("1/0", "the number of parts, 0, must be from 1 to 100,000"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_shard(text)


def test_each_row_is_in_one_shard_whatever_comes_before_it() -> None:
    shards = [select(ROWS, None, Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(line for shard in shards for line in shard) == sorted(select(ROWS, None, None))
    assert all(len(shard) >= 5 for shard in shards)
    added = [{"image": "new.jpg"}, *reversed(ROWS)]
    for number, shard in enumerate(shards, 1):
        assert set(shard) <= set(select(added, None, Shard(number, 3))) <= {*shard, b'{"image": "new.jpg"}'}


def test_the_limit_counts_the_rows_of_all_shards() -> None:
    first = select(ROWS, 10, None)
    assert sorted(line for number in (1, 2) for line in select(ROWS, 10, Shard(number, 2))) == sorted(first)


def test_a_shard_does_not_change_between_versions() -> None:
    """Data sets of many runs depend on it."""
    assert [Shard(number, 4).includes(line_of(b'{"image": ["a.jpg"]}')) for number in (1, 2, 3, 4)] == EXPECTED


EXPECTED = [True, False, False, False]


def test_a_listed_file_counts_as_its_name_and_a_broken_record_as_its_key() -> None:
    for shard in (Shard(number, 5) for number in range(1, 6)):
        assert shard.includes(line_of(b'{"image": ["/a/x.jpg"]}', "x.jpg")) == shard.includes(line_of(b"x.jpg"))
        broken = BrokenLine.make(b"shown", "reason", key=b"key")
        assert shard.includes(line_of(broken)) == shard.includes(line_of(b"key"))


def test_rows_before_a_line_are_counted() -> None:
    assert count_rows_before(InMemorySource(ROWS), 0) == 0
    assert count_rows_before(InMemorySource(ROWS), 7) == 7
