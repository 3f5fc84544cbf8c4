"""JSONL files that are compressed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_inputs, read_as_before
from persqa_client.types import START_POSITION

LINES = [b'{"image": "%d.jpg"}' % number for number in range(300)]
TEXT = b"\n".join(LINES)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"a.jsonl.gz": gzip.compress, "a.jsonl.zst": zstd.compress}


@pytest.mark.parametrize("name", COMPRESS)
def test_the_lines_are_read_from_any_row_on(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(COMPRESS[name](TEXT))
    source = open_inputs([tmp_path / name], "image")
    whole = list(source.lines(START_POSITION))
    assert [line for line, _ in whole] == LINES
    for number in (1, 150, 300):
        position = whole[number - 1][1]
        assert list(source.lines(position)) == whole[number:]
        assert source.digest_at(position) == position.digest
    again = read_as_before(source, source.fingerprint(), START_POSITION, "image")
    assert list(again.lines(START_POSITION)) == whole


@pytest.mark.parametrize("name", COMPRESS)
def test_several_members_are_one_file(name: str, tmp_path: Path) -> None:
    """As ``cat a.gz b.gz`` makes them."""
    (tmp_path / name).write_bytes(COMPRESS[name](TEXT + b"\n") * 2)
    assert [line for line, _ in open_inputs([tmp_path / name], "image").lines(START_POSITION)] == LINES * 2


@pytest.mark.parametrize("name", COMPRESS)
def test_a_file_that_is_cut_off_or_no_jsonl_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(COMPRESS[name](TEXT)[:-9])
    with pytest.raises(SettingsError, match=r"is compressed with \w+, but can't be decompressed"):
        list(open_inputs([path], "image").lines(START_POSITION))
    path = path.with_suffix("")
    path.write_bytes(COMPRESS[name](b"PK\x03\x04"))
    with pytest.raises(SettingsError, match="a ZIP archive"):
        open_inputs([path], "image")
    path.write_bytes(COMPRESS[name](b"image,question\na.jpg,\n"))
    with pytest.raises(SettingsError, match="and is not JSONL; decompress it first"):
        open_inputs([path.rename(tmp_path / "table")], "image")
