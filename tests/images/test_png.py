"""Removing the metadata of PNGs, and finding truncated ones."""

from __future__ import annotations

import zlib

import pytest
from PIL import Image

from persqa_client.images.containers import MissingEnd, TruncatedImage
from persqa_client.images.png import strip_png
from tests.images import image_files
from tests.images.image_files import decode_rgb_bytes, encode, has_no_metadata, red_and_blue
from tests.support.cases import each_case

SAMPLE = image_files.SAMPLES[0].read_bytes()


def stripped_bytes(data: bytes) -> bytes:
    return strip_png(data).data


def test_all_that_programs_add_is_removed() -> None:
    data = image_files.png_with_metadata(red_and_blue(), orientation=6)
    assert not has_no_metadata(data)
    stripped = stripped_bytes(data)
    assert has_no_metadata(stripped)
    assert b"tIME" not in stripped
    assert stripped.endswith(b"IEND\xaeB`\x82")
    assert decode_rgb_bytes(stripped) == decode_rgb_bytes(data)
    assert stripped_bytes(stripped) == stripped
    assert strip_png(data).orientation == 6


@each_case(
    ("image", "plain"),
    [
        pytest.param(red_and_blue(), True, id="RGB"),
        pytest.param(red_and_blue().convert("L"), True, id="grey"),
        pytest.param(red_and_blue().convert("RGBA"), False, id="alpha"),
        pytest.param(red_and_blue().convert("LA"), False, id="grey with alpha"),
        pytest.param(red_and_blue().convert("P"), False, id="palette"),
        pytest.param(red_and_blue().convert("1"), False, id="1 bit"),
        pytest.param(Image.new("I;16", (9, 9)), False, id="16 bit"),
    ],
)
def test_only_opaque_8_bit_pngs_are_plain(image: Image.Image, plain: bool) -> None:
    data = encode(image, "PNG")
    assert strip_png(data).plain is plain
    assert image_files.decode(stripped_bytes(data)).mode == image_files.decode(data).mode


def test_a_png_with_a_transparent_colour_is_not_plain_and_keeps_it() -> None:
    data = encode(red_and_blue(), "PNG", transparency=image_files.RED)
    assert not strip_png(data).plain
    assert b"tRNS" in stripped_bytes(data)


def test_a_truncated_png_is_detected() -> None:
    data = encode(image_files.decode(SAMPLE).resize((40, 40)), "PNG")
    for length in (0, 7, 20, 33, len(data) // 2, len(data) - 12, len(data) - 1):
        with pytest.raises(TruncatedImage):
            stripped_bytes(data[:length])


def test_a_png_that_does_not_start_with_its_header_is_rejected() -> None:
    data = encode(red_and_blue(), "PNG")
    with pytest.raises(TruncatedImage):
        stripped_bytes(data[:8] + image_files.make_png_chunk(b"sRGB", b"\0") + data[8:])


def damage_chunk(data: bytes, name: bytes) -> bytes:
    """The last bit of the chunk's checksum is wrong."""
    start = data.index(name) - 4
    last = start + 11 + int.from_bytes(data[start : start + 4], "big")
    return data[:last] + bytes([data[last] ^ 1]) + data[last + 1 :]


@each_case(
    ("image", "name"),
    [
        pytest.param(red_and_blue(), b"IHDR", id="header"),
        pytest.param(red_and_blue().convert("L"), b"IHDR", id="header of a grey image"),
        pytest.param(red_and_blue().convert("P"), b"PLTE", id="palette"),
    ],
)
def test_a_damaged_header_or_palette_is_detected(image: Image.Image, name: bytes) -> None:
    """Its pixels are not decoded to find their end."""
    with pytest.raises(TruncatedImage) as caught:
        strip_png(damage_chunk(encode(image, "PNG"), name))
    assert not isinstance(caught.value, MissingEnd)


@each_case("name", [b"gAMA", b"sRGB", b"cHRM", b"tRNS"])
def test_other_damaged_chunks_are_removed_so_that_decoders_read_the_image(name: bytes) -> None:
    data = encode(red_and_blue(), "PNG")
    body = bytes(32 if name == b"cHRM" else 6)
    damaged = damage_chunk(data[:33] + image_files.make_png_chunk(name, body) + data[33:], name)
    stripped = strip_png(damaged)
    assert stripped.data == data
    assert stripped.plain


@each_case("mode", ["RGB", "RGBA"])
def test_a_damaged_palette_that_is_only_suggested_is_removed(mode: str) -> None:
    data = encode(red_and_blue().convert(mode), "PNG")
    damaged = damage_chunk(data[:33] + image_files.make_png_chunk(b"PLTE", bytes(6)) + data[33:], b"PLTE")
    assert strip_png(damaged).data == data


XMP_OF_ORIENTATION = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'


@each_case(
    ("name", "body"),
    [
        pytest.param(b"eXIf", image_files.make_exif(6).tobytes()[6:], id="EXIF"),
        pytest.param(b"iTXt", XMP_OF_ORIENTATION, id="XMP"),
        pytest.param(b"iCCP", b"p\0\0" + zlib.compress(b"profile"), id="profile"),
        pytest.param(b"cICP", b"\x0c\x0d\0\1", id="code points"),
    ],
)
def test_damaged_metadata_does_not_change_the_picture(name: bytes, body: bytes) -> None:
    data = encode(red_and_blue(), "PNG")
    whole = data[:33] + image_files.make_png_chunk(name, body) + data[33:]
    assert strip_png(whole) != strip_png(data)
    assert strip_png(damage_chunk(whole, name)) == strip_png(data)
