"""Files that are read only where that means no waiting."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from persqa_client.images.cache import AT_ONCE, CanNotTell, ImageCache, NotCached, read_cached

DATA = bytes(range(256)) * 2000


def write(path: Path, data: bytes = DATA) -> str:
    path.write_bytes(data)
    return str(path)


def forget(path: str) -> None:
    """Has the system drop a file from memory, or skips the test where it won't."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            if os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT):
                pytest.skip("this file system keeps all files in memory")
        except BlockingIOError:
            return
        except OSError:
            pytest.skip("this file system can't tell what it has in memory")


def test_a_file_in_memory_is_read(tmp_path: Path) -> None:
    assert read_cached(write(tmp_path / "a"), len(DATA)) == DATA


def test_a_file_that_is_not_is_fetched_meanwhile(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    forget(path)
    with pytest.raises(NotCached):
        read_cached(path, len(DATA))
    for _ in range(500):
        time.sleep(0.01)
        try:
            assert read_cached(path, len(DATA)) == DATA
            return
        except NotCached:
            continue
    pytest.fail("the file was not fetched")


@pytest.mark.parametrize("size", [0, len(DATA) - 1, len(DATA) + 1], ids=["none", "grown", "shrunk"])
def test_a_file_of_another_size_is_not_had(tmp_path: Path, size: int) -> None:
    """It changed since it was looked at."""
    assert read_cached(write(tmp_path / "a"), size) is None


def test_a_file_that_takes_long_to_look_through_is_not_had(tmp_path: Path) -> None:
    data = bytes(AT_ONCE)
    assert read_cached(write(tmp_path / "most", data), AT_ONCE) == data
    assert read_cached(write(tmp_path / "more", data + b"0"), AT_ONCE + 1) is None


def test_what_can_not_be_opened_is_not_had(tmp_path: Path) -> None:
    assert read_cached(str(tmp_path / "none"), 5) is None


MUTE = Path("/sys/kernel/fscaps")
"""On a file system that keeps nothing in memory; it says of each file that it had a page's size."""


@pytest.mark.skipif(not MUTE.exists(), reason="no sysfs here")
def test_on_a_file_system_that_does_not_tell_nothing_is_at_hand() -> None:
    with pytest.raises(CanNotTell):
        read_cached(str(MUTE), MUTE.stat().st_size)
    shelf = ImageCache([], max_pixels=100, bound=100)
    assert [shelf.at_hand(str(MUTE)) for _ in range(2)] == [None, None]


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    before = len(os.listdir("/proc/self/fd"))
    for size in (len(DATA), len(DATA) + 1):
        read_cached(path, size)
    assert len(os.listdir("/proc/self/fd")) == before
