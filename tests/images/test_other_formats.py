"""Images of formats that are not sent are named, and files that are no images are not taken for such."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.prepare import describe_other_image, load_image
from tests.support.cases import each_case


def encode_as(format: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (48, 32)).save(out, format)
    return out.getvalue()


OTHER_IMAGES = [
    pytest.param(encode_as("PPM"), "Pbmplus", id="Netpbm"),
    pytest.param(b"P3\n48 32\n255\n" + b"9 9 9\n" * 48 * 32, "Pbmplus", id="Netpbm as text"),
    pytest.param(encode_as("TGA"), "Targa", id="TGA"),
    pytest.param(encode_as("DDS", "RGBA"), "DirectDraw Surface", id="DDS"),
    pytest.param(encode_as("SGI"), "SGI", id="SGI"),
    pytest.param(encode_as("PCX"), "Paintbrush", id="PCX"),
    pytest.param(encode_as("EPS"), "Encapsulated Postscript", id="EPS"),
    pytest.param(encode_as("ICO", "RGBA"), "icon", id="ICO"),
    pytest.param(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n", "Radiance", id="Radiance HDR"),
    pytest.param(bytes(128) + b"DICM" + bytes(64), "DICOM", id="DICOM"),
]


@pytest.mark.parametrize(("data", "name"), OTHER_IMAGES)
def test_an_image_of_another_format_is_named(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(data)
    with pytest.raises(RowError, match=name) as caught:
        load_image("image", [tmp_path], max_pixels=10**6)
    assert caught.value.code == "image_unsupported"


@each_case(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"P", id="one byte"),
        pytest.param(b"Python is a language.\n" * 50, id="text"),
        pytest.param(b"P1 is the first of the priorities\n" * 50, id="text that begins like Netpbm"),
        pytest.param(b"Name: x\nFile size: 3\n" * 50, id="text with keys"),
        pytest.param(bytes(4096), id="zeros"),
        pytest.param(b"RIFF\x24\0\0\0WAVEfmt " + bytes(64), id="sound"),
        pytest.param(b"\0\0\1\xba" + bytes(4096), id="MPEG"),
        pytest.param(b"PK\3\4" + bytes(64), id="ZIP"),
    ],
)
def test_other_files_are_no_images(data: bytes) -> None:
    assert describe_other_image(data) is None
