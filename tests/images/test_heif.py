"""Reading the boxes of HEIC and AVIF files."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.containers import TruncatedImage
from persqa_client.images.heif import (
    MAX_ITEMS,
    check_heif,
    find_meta_box,
    find_properties,
    iterate_boxes,
    list_associations,
    list_item_properties,
    make_box,
    merge_associations,
    unlink_metadata,
)
from persqa_client.images.prepare import load_image, measure_picture
from tests.images.image_files import HEIC, RED, check_and_decode, encode, has_no_metadata, is_near, make_exif


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
    names = [box.name for box in dict(list_item_properties(data))[2]]
    numbers = dict(list_associations(data[start:]))[2]
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
    for read in (measure_picture, lambda *place: load_image(*place, max_pixels=10**6)):
        with pytest.raises(RowError) as caught:
            read("image", [tmp_path])
        assert caught.value.code == "image_unsupported"
        assert reason in caught.value.message


def make_low_overhead(exif: bytes = b"", orientation: int = 1, colours: tuple[int, int, int] = (1, 13, 6)) -> bytes:
    """The pixels of HEIC, 64 x 64, behind the short header of ISO/IEC 23008-12.

    ``colours``: the code points of the primaries, the transfer function and the matrix.
    """
    box = next(box for box in find_properties(HEIC) if box.name == b"hvcC")
    config, pixels = HEIC[box.body : box.end], HEIC[491:650]
    # Values and their numbers of bits: version, flags, chroma subsampling, orientation, size, depth, lengths.
    fields = [(0, 4), (1, 1), (0, 1), (1, 1), (0, 2), (bool(exif), 1), (0, 1), (1, 2), (orientation - 1, 3), (0, 1)]
    fields += [(63, 7), (63, 7), (0, 3), *((code, 8) for code in colours), *([(0, 1)] if exif else []), (1, 1), (0, 1)]
    fields += [(len(config), 12), (len(pixels) - 1, 15), *([(0, 1), (len(exif) - 1, 10)] if exif else [])]
    bits = "".join(f"{int(value):0{count}b}" for value, count in fields)
    header = bytes(int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8))
    return make_box(b"ftyp", b"mif3heic") + make_box(b"mini", header + config + pixels + exif)


@pytest.mark.parametrize("exif", [b"", bytes(4) + make_exif(6).tobytes()[6:]], ids=["plain", "EXIF"])
@pytest.mark.parametrize("orientation", [1, 3])
def test_a_heic_with_a_low_overhead_header_is_read_without_its_metadata(
    exif: bytes, orientation: int, tmp_path: Path
) -> None:
    data = make_low_overhead(exif, orientation)
    assert has_no_metadata(data) is not bool(exif)
    (tmp_path / "image").write_bytes(data)
    sent = check_and_decode(load_image("image", [tmp_path], max_pixels=10**6))
    assert sent.size == measure_picture("image", [tmp_path])[1:] == (64, 64)
    sides = [sent.getpixel((1, 20)), sent.getpixel((62, 20))]
    assert [is_near(side, RED, 5) for side in sides] == [orientation == 1, orientation != 1]


@pytest.mark.parametrize(("primaries", "expected"), [(1, (255, 76, 85)), (9, (255, 0, 78))], ids=["sRGB", "BT.2020"])
def test_the_colours_of_a_low_overhead_header_are_used(
    primaries: int, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(make_low_overhead(colours=(primaries, 13, 0)))
    sent = check_and_decode(load_image("image", [tmp_path], max_pixels=10**6))
    assert is_near(sent.getpixel((1, 20)), expected, 5)


@pytest.mark.parametrize("length", [40, 150, 250, -1])
def test_a_cut_low_overhead_header_is_truncated(length: int, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(make_low_overhead()[:length])
    for read in (measure_picture, lambda *place: load_image(*place, max_pixels=10**6)):
        with pytest.raises(RowError) as caught:
            read("image", [tmp_path])
        assert caught.value.code == "image_truncated"


@pytest.mark.parametrize("is_wide", [False, True])
def test_lists_of_many_items_take_no_memory(is_wide: bool, tmp_path: Path) -> None:
    numbers = struct.pack(f">127{'H' if is_wide else 'B'}", *range(1, 128))
    items = b"".join(struct.pack(">IB", item, 127) + numbers for item in range(MAX_ITEMS // 4))
    ipma = make_box(b"ipma", bytes([1, 0, 0, is_wide]) + struct.pack(">I", MAX_ITEMS // 4) + items)
    ipco = make_box(b"ipco", make_box(b"free", b"") * 127)
    pitm = make_box(b"pitm", bytes(4) + b"\0\1")
    once, often = (
        HEIC[:28].replace(b"heic", b"avif")
        + make_box(b"meta", bytes(4) + pitm + make_box(b"iprp", ipco + ipma * count))
        for count in (1, 8)
    )
    assert sum(1 for _ in list_item_properties(often)) == MAX_ITEMS
    (tmp_path / "image").write_bytes(once)
    tracemalloc.start()
    try:
        with pytest.raises(RowError):
            load_image("image", [tmp_path], max_pixels=10**6)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(once)
    finally:
        tracemalloc.stop()


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
    assert [(item, [box.name for box in boxes]) for item, boxes in list_item_properties(merged)] == [
        (item, [box.name for box in boxes]) for item, boxes in list_item_properties(data)
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
