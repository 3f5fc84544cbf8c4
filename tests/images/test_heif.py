"""Reading the boxes of HEIC and AVIF files."""

from __future__ import annotations

import pytest

from persqa_client.images.containers import TruncatedImage
from persqa_client.images.heif import check_heif, unlink_metadata
from tests.images.image_files import HEIC


def test_unlinking_metadata_keeps_the_length_and_the_image() -> None:
    unlinked = unlink_metadata(HEIC)
    assert len(unlinked) == len(HEIC)
    assert b"cdsc" not in unlinked
    assert unlinked.replace(b"skip", b"cdsc") == HEIC


def test_boxes_with_a_64_bit_size_are_skipped() -> None:
    long_box = b"\0\0\0\x01free" + (20).to_bytes(8, "big") + b"cdsc"
    unlinked = unlink_metadata(HEIC[:28] + long_box + HEIC[28:])
    assert unlinked.count(b"cdsc") == unlinked.count(b"skip") == 1


def test_a_heic_truncated_in_its_meta_box_is_detected() -> None:
    with pytest.raises(TruncatedImage):
        unlink_metadata(HEIC[:200])


@pytest.mark.parametrize(
    "appended", [b"MotionPhoto_Data" + bytes(50), b"\0\0\1\0mpvd" + bytes(9), b"\0\0", b"\0\0\0\x08free"]
)
def test_appended_data_is_accepted(appended: bytes) -> None:
    check_heif(HEIC + appended)


def make_iloc(version: int, end: int, method: int = 0, elsewhere: int = 0) -> bytes:
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
    """A file of three boxes with this ``iloc``."""
    box = (8 + len(iloc)).to_bytes(4, "big") + b"iloc" + iloc
    meta = (12 + len(box)).to_bytes(4, "big") + b"meta\0\0\0\0" + box
    return HEIC[:28] + meta + b"\0\0\0\0mdat" + bytes(100)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_an_item_beyond_the_end_of_the_file_is_detected(version: int) -> None:
    """The last box extends to the end of the file, so only the list of items shows it."""
    length = len(with_items(make_iloc(version, 30)))
    check_heif(with_items(make_iloc(version, length)))
    with pytest.raises(TruncatedImage):
        check_heif(with_items(make_iloc(version, length + 1)))
    check_heif(with_items(make_iloc(version, length + 1, elsewhere=1)))
    if version:
        check_heif(with_items(make_iloc(version, length + 1, method=1)))


def test_a_truncated_list_of_items_is_detected() -> None:
    with pytest.raises(TruncatedImage):
        check_heif(with_items(make_iloc(1, 30)[:-3]))


def test_a_long_list_of_items_without_extents_is_fast() -> None:
    check_heif(with_items(bytes((0, 0, 0, 0, 0, 0)) + b"\xff\xff" + b"\0\1\0\0\xff\xff" * 65535))
