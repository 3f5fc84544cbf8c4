"""Removing the metadata of JPEGs, and finding truncated ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.errors import RowError
from persqa_client.images.containers import TruncatedImage
from persqa_client.images.jpeg import DAMAGE, is_single_scan, iterate_segments, strip_jpeg
from persqa_client.images.prepare import load_image
from tests.images import image_files
from tests.images.image_files import decode_rgb_bytes, encode, has_no_metadata, make_jpeg_segment, red_and_blue
from tests.support.cases import each_case

SAMPLE = image_files.SAMPLES[0].read_bytes()
PROGRESSIVE = encode(image_files.decode(SAMPLE).resize((96, 96)), "JPEG", progressive=True)
BASELINE = encode(image_files.decode(SAMPLE).resize((96, 96)), "JPEG", restart_marker_blocks=3)


def stripped_bytes(data: bytes) -> bytes:
    return strip_jpeg(data).data


@each_case("path", image_files.SAMPLES, ids=lambda path: path.stem)
def test_a_photo_keeps_its_pixels_and_loses_its_metadata(path: Path) -> None:
    data = path.read_bytes()
    stripped = stripped_bytes(data)
    assert decode_rgb_bytes(stripped) == decode_rgb_bytes(data)
    assert has_no_metadata(stripped)
    assert stripped_bytes(stripped) == stripped


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="baseline"),
        pytest.param({"progressive": True}, id="progressive"),
        pytest.param({"restart_marker_blocks": 2}, id="restart markers"),
        pytest.param({"subsampling": 0, "quality": 100}, id="finest"),
    ],
)
def test_all_that_a_camera_adds_is_removed(settings: dict[str, object]) -> None:
    """EXIF, GPS, XMP, ICC, IPTC, comment, thumbnail and appended video."""
    data = image_files.jpeg_with_metadata(image_files.decode(SAMPLE).resize((120, 80)), **settings)
    assert not has_no_metadata(data)
    stripped = stripped_bytes(data)
    assert has_no_metadata(stripped)
    assert b"JFXX" not in stripped
    assert stripped.endswith(b"\xff\xd9")
    assert len(stripped) < len(data) - len(image_files.MOTION_VIDEO)
    assert decode_rgb_bytes(stripped) == decode_rgb_bytes(data)


@pytest.mark.parametrize("rest", [b"", b"\x01"])
def test_a_profile_that_ends_with_its_signature_is_none(rest: bytes) -> None:
    broken = make_jpeg_segment(0xE2, b"ICC_PROFILE\0" + rest)
    assert stripped_bytes(image_files.insert_after_jfif(PROGRESSIVE, broken)) == stripped_bytes(PROGRESSIVE)


def test_an_end_inside_a_thumbnail_or_between_scans_is_not_the_end() -> None:
    """Segments are skipped by their lengths, before the scans and between them."""
    decoy = make_jpeg_segment(0xE5, b"\xff\xd9\xff\xda\xff\xd8" * 5)
    data = image_files.insert_before_last_scan(
        image_files.insert_after_jfif(PROGRESSIVE, decoy), decoy, make_jpeg_segment(0xFE, b"\xff\xd9")
    )
    assert stripped_bytes(data) == stripped_bytes(PROGRESSIVE)
    assert decode_rgb_bytes(stripped_bytes(data)) == decode_rgb_bytes(PROGRESSIVE)


@given(
    st.lists(st.sampled_from([b"\xff", b"\x00", b"\xd9", b"\xd0", b"\xda", b"\xe1", b"a"])).map(b"".join),
    st.integers(0, 3),
)
def test_a_single_scan_has_only_stuffed_bytes_before_its_end(tail: bytes, start: int) -> None:
    for scan in (tail, tail + b"\xff\xd9"):
        stuffed = re.compile(rb"(?:[^\xff]|\xff\x00)*\xff\xd9", re.DOTALL).fullmatch(scan, start)
        assert is_single_scan(scan, start) == (stuffed is not None)


def hit(jpeg: bytes, marker: bytes, place: float) -> bytes:
    """``marker`` in place of two bytes of the scan."""
    scan = jpeg.rindex(b"\xff\xda") + 20
    position = scan + int((len(jpeg) - scan - 40) * place)
    return jpeg[:position] + marker + jpeg[position + 2 :]


@each_case("place", [0.1, 0.4, 0.8])
@each_case("marker", [b"\xff\x9f", b"\xff\xc0", b"\xff\xe1", b"\xff\xda", b"\xff\xc4", b"\xff\x01"])
def test_a_damaged_byte_that_looks_like_a_marker_cuts_nothing_off(marker: bytes, place: float) -> None:
    data = hit(BASELINE, marker, place)
    assert stripped_bytes(data) == data
    with pytest.raises(TruncatedImage):
        strip_jpeg(hit(encode(image_files.decode(SAMPLE).resize((96, 96)), "JPEG"), marker, place))


@each_case("place", [0.1, 0.4, 0.8])
@each_case("marker", [b"\xff\x9f", b"\xff\xc0", b"\xff\xe1", b"\xff\xda", b"\xff\xff"])
def test_every_decoder_accepts_what_is_sent_of_a_damaged_scan(marker: bytes, place: float, tmp_path: Path) -> None:
    """Pillow, with which many servers decode, refuses some of these files."""
    (tmp_path / "a.jpg").write_bytes(hit(BASELINE, marker, place))
    try:
        decode_rgb_bytes((tmp_path / "a.jpg").read_bytes())
    except OSError:
        with pytest.raises(RowError, match="truncated or damaged"):
            load_image("a.jpg", [tmp_path], max_pixels=10**6)
    else:
        sent = load_image("a.jpg", [tmp_path], max_pixels=10**6).data
        assert DAMAGE not in [code for code, _, _ in iterate_segments(sent)]


def test_bytes_between_segments_are_removed() -> None:
    """Decoders skip them to the next marker."""
    data = image_files.insert_after_jfif(PROGRESSIVE, b"secret note\xff", make_jpeg_segment(0xFE, b""), b"more\xff")
    assert stripped_bytes(data) == stripped_bytes(PROGRESSIVE)


def test_a_jfif_header_is_kept_without_its_thumbnail() -> None:
    thumbnail = make_jpeg_segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x08\x08" + b"\x7b" * 192)
    stripped = stripped_bytes(b"\xff\xd8" + thumbnail + BASELINE[20:])
    assert stripped[:20] == b"\xff\xd8" + make_jpeg_segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
    assert decode_rgb_bytes(stripped) == decode_rgb_bytes(BASELINE)


def test_the_adobe_segment_is_kept_for_the_colour_space() -> None:
    data = encode(red_and_blue().convert("CMYK"), "JPEG")
    assert b"Adobe" in stripped_bytes(data)
    assert image_files.decode(stripped_bytes(data)).tobytes() == image_files.decode(data).tobytes()


segments = st.builds(make_jpeg_segment, st.sampled_from([*range(0xE1, 0xEE), 0xEF, 0xFE]), st.binary(max_size=40))


@settings(max_examples=60, deadline=None)
@given(
    source=st.sampled_from([PROGRESSIVE, BASELINE, SAMPLE]),
    head=st.lists(segments, max_size=4),
    middle=st.lists(segments, max_size=3),
    tail=st.binary(max_size=60),
)
def test_stripping_is_idempotent_and_keeps_the_pixels(
    source: bytes, head: list[bytes], middle: list[bytes], tail: bytes
) -> None:
    data = image_files.insert_before_last_scan(image_files.insert_after_jfif(source, *head), *middle) + tail
    stripped = stripped_bytes(data)
    assert stripped_bytes(stripped) == stripped == stripped_bytes(source)
    assert decode_rgb_bytes(stripped) == decode_rgb_bytes(source)


@each_case("part", [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
@each_case("data", [PROGRESSIVE, BASELINE, SAMPLE], ids=["progressive", "baseline", "sample"])
def test_a_truncated_jpeg_is_detected(data: bytes, part: float) -> None:
    with pytest.raises(TruncatedImage):
        stripped_bytes(data[: int(len(data) * part)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xd8\xff\xd9", id="only start and end"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x01\xff\xd9", id="an impossible length"),
        pytest.param(BASELINE[: BASELINE.index(b"\xff\xda")] + b"\xff\xd9", id="no scan"),
    ],
)
def test_a_jpeg_without_an_image_is_rejected(data: bytes) -> None:
    with pytest.raises(TruncatedImage):
        stripped_bytes(data)


def test_size_and_orientation_are_read_from_the_headers() -> None:
    stripped = strip_jpeg(image_files.jpeg_with_metadata(red_and_blue(40, 24), orientation=6))
    assert (stripped.width, stripped.height, stripped.plain, stripped.orientation) == (40, 24, True, 6)
    assert not strip_jpeg(encode(red_and_blue().convert("CMYK"), "JPEG")).plain
    assert strip_jpeg(encode(red_and_blue().convert("L"), "JPEG")).plain


def test_a_jpeg_without_metadata_is_not_copied() -> None:
    stripped = stripped_bytes(SAMPLE)
    assert stripped_bytes(stripped) is stripped


def test_the_size_of_a_missing_thumbnail_is_set_to_zero() -> None:
    """The file is as long as before, with other bytes."""
    data = stripped_bytes(SAMPLE)
    at = data.index(b"JFIF\0") + 12
    assert stripped_bytes(data[:at] + b"\x01\x00" + data[at + 2 :]) == data
