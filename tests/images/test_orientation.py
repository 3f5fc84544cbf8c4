"""Reading the EXIF orientation."""

from __future__ import annotations

import pytest

from persqa_client.images.orientation import read_exif_orientation
from tests.images import image_files


@pytest.mark.parametrize(
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
    assert read_exif_orientation(exif) == orientation
