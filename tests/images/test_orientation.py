"""How EXIF says a picture is to be turned."""

from __future__ import annotations

import pytest

from persqa_client.images.orientation import exif_orientation
from tests.images import pictures


@pytest.mark.parametrize(
    ("exif", "orientation"),
    [
        pytest.param(pictures.exif(6).tobytes(), 6, id="with its mark"),
        pytest.param(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0", 8, id="little-endian"),
        pytest.param(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0", 3, id="big-endian"),
        pytest.param(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x05", 5, id="as a long number"),
        pytest.param(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0", 1, id="a turn that does not exist"),
        pytest.param(pictures.exif().tobytes(), 1, id="none given"),
        pytest.param(b"", 1, id="nothing"),
        pytest.param(b"II*\0\xff\xff\xff\xff", 1, id="a directory beyond the end"),
        pytest.param(b"Exif\0\0rubbish", 1, id="rubbish"),
    ],
)
def test_exif_says_how_to_turn_or_counts_as_upright(exif: bytes, orientation: int) -> None:
    assert exif_orientation(exif) == orientation
