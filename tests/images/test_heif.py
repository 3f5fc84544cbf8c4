"""What walking the boxes of HEIC and AVIF finds."""

from __future__ import annotations

import pytest

from persqa_client.images.containers import Truncated
from persqa_client.images.heif import check_isobmff, unlink_metadata
from tests.images.pictures import HEIC


def test_a_heic_keeps_its_length_and_its_picture_without_links_to_metadata() -> None:
    unlinked = unlink_metadata(HEIC)
    assert len(unlinked) == len(HEIC)
    assert b"cdsc" not in unlinked
    assert unlinked.replace(b"skip", b"cdsc") == HEIC


def test_boxes_with_a_long_size_are_stepped_over() -> None:
    long_box = b"\0\0\0\x01free" + (20).to_bytes(8, "big") + b"cdsc"
    unlinked = unlink_metadata(HEIC[:28] + long_box + HEIC[28:])
    assert unlinked.count(b"cdsc") == unlinked.count(b"skip") == 1


def test_a_heic_cut_off_in_its_index_is_noticed() -> None:
    with pytest.raises(Truncated):
        unlink_metadata(HEIC[:200])


@pytest.mark.parametrize(
    "behind", [b"MotionPhoto_Data" + bytes(50), b"\0\0\1\0mpvd" + bytes(9), b"\0\0", b"\0\0\0\x08free"]
)
def test_what_is_appended_does_no_harm(behind: bytes) -> None:
    check_isobmff(HEIC + behind)


def item_list(version: int, end: int, method: int = 0, elsewhere: int = 0) -> bytes:
    """An ``iloc`` of one item that ends at ``end``, with sizes of 4 bytes and a base of 8."""
    wide = 4 if version == 2 else 2
    index_size = 4 if version else 0
    items = (1).to_bytes(wide, "big") + (7).to_bytes(wide, "big")
    items += method.to_bytes(2, "big") if version else b""
    items += elsewhere.to_bytes(2, "big") + (end - 30).to_bytes(8, "big") + b"\0\1" + bytes(index_size)
    return (
        bytes((version, 0, 0, 0, 0x44, 0x80 | index_size)) + items + (20).to_bytes(4, "big") + (10).to_bytes(4, "big")
    )


def with_items(iloc: bytes) -> bytes:
    """A file of three boxes with such a list of items."""
    box = (8 + len(iloc)).to_bytes(4, "big") + b"iloc" + iloc
    meta = (12 + len(box)).to_bytes(4, "big") + b"meta\0\0\0\0" + box
    return HEIC[:28] + meta + b"\0\0\0\0mdat" + bytes(100)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_an_item_that_ends_behind_the_file_is_missed(version: int) -> None:
    """The last box claims to reach the end, wherever that is, so that only the list of items can tell."""
    length = len(with_items(item_list(version, 30)))
    check_isobmff(with_items(item_list(version, length)))
    with pytest.raises(Truncated):
        check_isobmff(with_items(item_list(version, length + 1)))
    check_isobmff(with_items(item_list(version, length + 1, elsewhere=1)))
    if version:
        check_isobmff(with_items(item_list(version, length + 1, method=1)))


def test_a_list_of_items_that_breaks_off_is_noticed() -> None:
    with pytest.raises(Truncated):
        check_isobmff(with_items(item_list(1, 30)[:-3]))


def test_a_list_of_items_that_takes_no_bytes_takes_no_time() -> None:
    check_isobmff(with_items(bytes((0, 0, 0, 0, 0, 0)) + b"\xff\xff" + b"\0\1\0\0\xff\xff" * 65535))
