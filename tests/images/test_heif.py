"""Reading the boxes of HEIC and AVIF files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.containers import TruncatedImage
from persqa_client.images.heif import (
    check_heif,
    find_meta_box,
    iterate_boxes,
    list_associations,
    list_item_properties,
    make_box,
    merge_associations,
    unlink_metadata,
)
from persqa_client.images.prepare import load_image, measure_picture
from tests.images.image_files import HEIC, check_and_decode, encode, is_near


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


def with_unsized_alpha() -> bytes:
    """An AVIF whose transparency has another property twice in place of its size, as if it had none."""
    data = encode(Image.new("RGBA", (64, 64), (9, 9, 9, 99)), "AVIF")
    start = data.index(b"ipma") + 4
    names = [box.name for item, box in list_item_properties(data) if item == 2]
    numbers = [number for item, number in list_associations(data[start:]) if item == 2]
    size, other = numbers[names.index(b"ispe")], numbers[names.index(b"pixi")]
    entry = data.index(struct.pack(">HB", 2, len(numbers)), start) + 3
    end = entry + len(numbers)
    return data[:entry] + data[entry:end].replace(bytes([size]), bytes([other])) + data[end:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(with_unsized_alpha(), "a part without a size", id="transparency without a size"),
        pytest.param(b"\0\0\0\x10ftypmif3avif" + b"\0\0\0\x40mini" + bytes(56), "low-overhead", id="low overhead"),
        pytest.param(b"\0\0\0\x10ftypmif3heic" + b"\0\0\0\x40mini" + bytes(56), "low-overhead", id="HEIC"),
    ],
)
def test_a_whole_file_that_decoders_take_for_damaged_is_unsupported(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(data)
    with pytest.raises(RowError) as caught:
        load_image("image", [tmp_path], max_pixels=10**6)
    assert caught.value.code == "image_unsupported"
    assert reason in caught.value.message


def with_lists_of_properties() -> bytes:
    """A half transparent red AVIF with a list of properties for each of its two items."""
    data = encode(Image.new("RGBA", (64, 64), (255, 0, 0, 128)), "AVIF")
    meta = find_meta_box(data)
    boxes = {box.name: box for box in iterate_boxes(data, meta.body + 4, meta.end)}
    iloc, iprp = boxes[b"iloc"], boxes[b"iprp"]
    properties, both = iterate_boxes(data, iprp.body, iprp.end)
    head, entries = data[both.body : both.body + 4] + (1).to_bytes(4, "big"), data[both.body + 8 : both.end]
    length = 3 + entries[2]
    lists = make_box(b"ipma", head + entries[:length]) + make_box(b"ipma", head + entries[length:])
    # The pixels are behind this box, by 16 bytes farther.
    locations = bytearray(data[iloc.start : iloc.end])
    for start in (22, 36):
        offset = int.from_bytes(locations[start : start + 4], "big")
        locations[start : start + 4] = (offset + 16).to_bytes(4, "big")
    content = data[meta.body : iloc.start] + locations + data[iloc.end : iprp.start]
    content += make_box(b"iprp", data[properties.start : properties.end] + lists)
    return data[: meta.start] + make_box(b"meta", content) + data[meta.end :]


def test_an_avif_with_a_list_of_properties_for_each_item_is_read(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(with_lists_of_properties())
    sent = check_and_decode(load_image("image", [tmp_path], max_pixels=10**6))
    assert is_near(sent.getpixel((20, 20)), (255, 127, 127), 5)
    assert measure_picture("image", [tmp_path])[1:] == (64, 64)


def test_merging_lists_of_properties_keeps_the_length_and_all_else() -> None:
    data = with_lists_of_properties()
    merged = merge_associations(data)
    assert len(merged) == len(data)
    assert merged[find_meta_box(data).end :] == data[find_meta_box(data).end :]
    assert [(item, box.name) for item, box in list_item_properties(merged)] == [
        (item, box.name) for item, box in list_item_properties(data)
    ]
    assert merge_associations(merged) == merged


@pytest.mark.parametrize("length", [0, 40, 100, 230, 300, 390])
def test_damaged_lists_of_properties_are_left_to_the_decoder(length: int) -> None:
    data = with_lists_of_properties()[:length]
    assert merge_associations(data) == data


@pytest.mark.parametrize("content", [b"", bytes(7), bytes(4) + b"\xff" * 4], ids=["empty", "short", "too many entries"])
def test_broken_lists_of_properties_are_left_to_the_decoder(content: bytes) -> None:
    lists = make_box(b"ipma", content) * 2
    meta = make_box(b"meta", bytes(4) + make_box(b"iprp", make_box(b"ipco", b"") + lists))
    assert merge_associations(meta) == meta
