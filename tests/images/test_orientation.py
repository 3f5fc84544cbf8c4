"""Reading the orientation from EXIF and XMP."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from persqa_client.images.orientation import read_orientation
from persqa_client.images.prepare import load_image
from tests.images import image_files
from tests.images.image_files import (
    encode,
    insert_after_jfif,
    make_jpeg_segment,
    make_png_chunk,
    make_webp,
    make_webp_chunk,
)
from tests.support.cases import each_case


@each_case(
    ("exif", "orientation"),
    [
        pytest.param(image_files.make_exif(6).tobytes(), 6, id="with its prefix"),
        pytest.param(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0", 8, id="little-endian"),
        pytest.param(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0", 3, id="big-endian"),
        pytest.param(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x05", 5, id="as a LONG"),
        pytest.param(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0", 1, id="an invalid value"),
        pytest.param(image_files.make_exif().tobytes(), 1, id="none given"),
        pytest.param(b"", 1, id="nothing"),
        pytest.param(b"II*\0\xff\xff\xff\xff", 1, id="a directory beyond the end"),
        pytest.param(b"Exif\0\0rubbish", 1, id="garbage"),
    ],
)
def test_the_orientation_is_read_and_defaults_to_upright(exif: bytes, orientation: int) -> None:
    assert read_orientation(exif) == orientation


ATTRIBUTE = b'<x:xmpmeta><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></x:xmpmeta>'
ELEMENT = b"<x:xmpmeta><rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description></x:xmpmeta>"


@pytest.mark.parametrize("xmp", [ATTRIBUTE, ELEMENT, ATTRIBUTE.replace(b'"', b"'")])
def test_xmp_gives_the_orientation_if_exif_does_not(xmp: bytes) -> None:
    assert read_orientation(b"", xmp) == 6
    assert read_orientation(image_files.make_exif().tobytes(), xmp) == 6
    assert read_orientation(image_files.make_exif(1).tobytes(), xmp) == 1
    assert read_orientation(image_files.make_exif(8).tobytes(), xmp) == 8


@pytest.mark.parametrize("xmp", [b"", b"tiff:Orientation 6", ATTRIBUTE.replace(b"6", b"9"), ELEMENT.replace(b"6", b"")])
def test_xmp_without_a_valid_orientation_is_upright(xmp: bytes) -> None:
    assert read_orientation(b"", xmp) == 1


def test_each_format_obeys_an_orientation_in_xmp_alone(tmp_path: Path) -> None:
    image = Image.new("RGB", (96, 64), (200, 60, 30))
    jpeg, png, webp = (encode(image, format) for format in ("JPEG", "PNG", "WEBP"))
    chunk = make_png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + ATTRIBUTE)
    files = {
        "jpeg": insert_after_jfif(jpeg, make_jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + ATTRIBUTE)),
        "png": png[:33] + chunk + png[33:],
        "webp": make_webp(webp[12:] + make_webp_chunk(b"XMP ", ATTRIBUTE)),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        sent = load_image(name, [tmp_path], max_pixels=10**6)
        assert (sent.width, sent.height) == (64, 96), name
