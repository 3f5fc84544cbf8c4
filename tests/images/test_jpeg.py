"""What walking a JPEG keeps, drops and notices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.images.containers import Truncated
from persqa_client.images.jpeg import is_one_scan, read_jpeg
from tests.images import pictures
from tests.images.pictures import file_of, jpeg_segment, pixels, silent, two_halves

SAMPLE = pictures.SAMPLES[0].read_bytes()
PROGRESSIVE = file_of(pictures.opened(SAMPLE).resize((96, 96)), "JPEG", progressive=True)
BASELINE = file_of(pictures.opened(SAMPLE).resize((96, 96)), "JPEG", restart_marker_blocks=3)


def strip_jpeg(data: bytes) -> bytes:
    return read_jpeg(data).data


@pytest.mark.parametrize("path", pictures.SAMPLES, ids=lambda path: path.stem)
def test_a_photograph_keeps_its_pixels_and_loses_its_metadata(path: Path) -> None:
    data = path.read_bytes()
    stripped = strip_jpeg(data)
    assert pixels(stripped) == pixels(data)
    assert silent(stripped)
    assert strip_jpeg(stripped) == stripped


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="baseline"),
        pytest.param({"progressive": True}, id="progressive"),
        pytest.param({"restart_marker_blocks": 2}, id="restart markers"),
        pytest.param({"subsampling": 0, "quality": 100}, id="finest"),
    ],
)
def test_all_that_a_camera_adds_to_a_jpeg_goes(settings: dict[str, object]) -> None:
    """EXIF, GPS, XMP, ICC, IPTC, comment, thumbnail and appended video go; the pixels stay."""
    data = pictures.talkative_jpeg(pictures.opened(SAMPLE).resize((120, 80)), **settings)
    assert not silent(data)
    stripped = strip_jpeg(data)
    assert silent(stripped)
    assert b"JFXX" not in stripped
    assert stripped.endswith(b"\xff\xd9")
    assert len(stripped) < len(data) - len(pictures.MOTION_VIDEO)
    assert pixels(stripped) == pixels(data)


def test_an_end_inside_a_thumbnail_or_between_scans_is_not_the_end() -> None:
    """Segments are stepped over by their lengths, in front of the scans and between them."""
    decoy = jpeg_segment(0xE5, b"\xff\xd9\xff\xda\xff\xd8" * 5)
    data = pictures.before_last_scan(pictures.after_start(PROGRESSIVE, decoy), decoy, jpeg_segment(0xFE, b"\xff\xd9"))
    assert strip_jpeg(data) == strip_jpeg(PROGRESSIVE)
    assert pixels(strip_jpeg(data)) == pixels(PROGRESSIVE)


@given(
    st.lists(st.sampled_from([b"\xff", b"\x00", b"\xd9", b"\xd0", b"\xda", b"\xe1", b"a"])).map(b"".join),
    st.integers(0, 3),
)
def test_one_scan_to_the_end_is_what_has_stuffed_bytes_alone_before_its_end(tail: bytes, start: int) -> None:
    for scan in (tail, tail + b"\xff\xd9"):
        stuffed = re.compile(rb"(?:[^\xff]|\xff\x00)*\xff\xd9", re.DOTALL).fullmatch(scan, start)
        assert is_one_scan(scan, start) == (stuffed is not None)


def test_rubbish_between_segments_goes() -> None:
    """Decoders skip it to the next marker; it might be anything."""
    rubbish = b"secret note\xff"
    data = pictures.before_last_scan(pictures.after_start(PROGRESSIVE, rubbish), jpeg_segment(0xFE, b""), rubbish)
    assert strip_jpeg(data) == strip_jpeg(PROGRESSIVE)


def test_a_jfif_header_loses_its_thumbnail_and_stays() -> None:
    thumbnail = jpeg_segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x08\x08" + b"\x7b" * 192)
    stripped = strip_jpeg(b"\xff\xd8" + thumbnail + BASELINE[20:])
    assert stripped[:20] == b"\xff\xd8" + jpeg_segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
    assert pixels(stripped) == pixels(BASELINE)


def test_adobes_marker_stays_because_it_tells_the_colour_space() -> None:
    data = file_of(two_halves().convert("CMYK"), "JPEG")
    assert b"Adobe" in strip_jpeg(data)
    assert pictures.opened(strip_jpeg(data)).tobytes() == pictures.opened(data).tobytes()


segments = st.builds(jpeg_segment, st.sampled_from([*range(0xE1, 0xEE), 0xEF, 0xFE]), st.binary(max_size=40))


@settings(max_examples=60, deadline=None)
@given(
    source=st.sampled_from([PROGRESSIVE, BASELINE, SAMPLE]),
    head=st.lists(segments, max_size=4),
    middle=st.lists(segments, max_size=3),
    tail=st.binary(max_size=60),
)
def test_stripping_twice_is_stripping_once_and_pixels_never_change(
    source: bytes, head: list[bytes], middle: list[bytes], tail: bytes
) -> None:
    data = pictures.before_last_scan(pictures.after_start(source, *head), *middle) + tail
    stripped = strip_jpeg(data)
    assert strip_jpeg(stripped) == stripped == strip_jpeg(source)
    assert pixels(stripped) == pixels(source)


@pytest.mark.parametrize("part", [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("data", [PROGRESSIVE, BASELINE, SAMPLE], ids=["progressive", "baseline", "sample"])
def test_a_jpeg_cut_off_anywhere_is_noticed(data: bytes, part: float) -> None:
    with pytest.raises(Truncated):
        strip_jpeg(data[: int(len(data) * part)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xd8\xff\xd9", id="start and end alone"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x01\xff\xd9", id="a length that cannot be"),
        pytest.param(BASELINE[: BASELINE.index(b"\xff\xda")] + b"\xff\xd9", id="no scan"),
    ],
)
def test_a_jpeg_without_a_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Truncated):
        strip_jpeg(data)


def test_the_header_says_what_a_jpeg_is() -> None:
    stripped = read_jpeg(pictures.talkative_jpeg(two_halves(40, 24), orientation=6))
    assert (stripped.width, stripped.height, stripped.plain, stripped.orientation) == (40, 24, True, 6)
    assert not read_jpeg(file_of(two_halves().convert("CMYK"), "JPEG")).plain
    assert read_jpeg(file_of(two_halves().convert("L"), "JPEG")).plain


def test_what_needs_no_cut_is_not_copied() -> None:
    stripped = strip_jpeg(SAMPLE)
    assert strip_jpeg(stripped) is stripped


def test_a_length_of_a_thumbnail_without_one_is_set_right() -> None:
    """As long as before, and yet not the same bytes."""
    data = strip_jpeg(SAMPLE)
    at = data.index(b"JFIF\0") + 12
    assert strip_jpeg(data[:at] + b"\x01\x00" + data[at + 2 :]) == data
