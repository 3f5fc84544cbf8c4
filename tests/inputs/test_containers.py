"""What walking JPEG, PNG, GIF, WebP and HEIC files keeps, drops and notices."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from persqa_client.inputs.containers import (
    Truncated,
    ends_properly,
    exif_orientation,
    read_jpeg,
    read_png,
    strip_jpeg,
    strip_png,
    unlink_heif_metadata,
)
from tests.inputs import pictures
from tests.inputs.pictures import SECRETS, file_of, jpeg_segment, pixels, two_halves

SAMPLE = pictures.SAMPLES[0].read_bytes()
PROGRESSIVE = file_of(pictures.opened(SAMPLE).resize((96, 96)), "JPEG", progressive=True)
BASELINE = file_of(pictures.opened(SAMPLE).resize((96, 96)), "JPEG", restart_marker_blocks=3)


def silent(data: bytes) -> bool:
    return not any(secret in data for secret in SECRETS)


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
    assert not ends_properly(data[: int(len(data) * part)], "JPEG")


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


def test_all_that_programs_add_to_a_png_goes() -> None:
    data = pictures.talkative_png(two_halves(), orientation=6)
    assert not silent(data)
    stripped = strip_png(data)
    assert silent(stripped)
    assert b"tIME" not in stripped
    assert stripped.endswith(b"IEND\xaeB`\x82")
    assert pixels(stripped) == pixels(data)
    assert strip_png(stripped) == stripped
    assert read_png(data).orientation == 6


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        pytest.param(two_halves(), True, id="RGB"),
        pytest.param(two_halves().convert("L"), True, id="grey"),
        pytest.param(two_halves().convert("RGBA"), False, id="alpha"),
        pytest.param(two_halves().convert("LA"), False, id="grey with alpha"),
        pytest.param(two_halves().convert("P"), False, id="palette"),
        pytest.param(two_halves().convert("1"), False, id="1 bit"),
        pytest.param(Image.new("I;16", (9, 9)), False, id="16 bit"),
    ],
)
def test_only_opaque_8_bit_pngs_are_plain(image: Image.Image, plain: bool) -> None:
    data = file_of(image, "PNG")
    assert read_png(data).plain is plain
    assert pictures.opened(strip_png(data)).mode == pictures.opened(data).mode


def test_a_png_with_a_transparent_colour_is_not_plain_and_keeps_it() -> None:
    data = file_of(two_halves(), "PNG", transparency=pictures.RED)
    assert not read_png(data).plain
    assert b"tRNS" in strip_png(data)


def test_a_png_cut_off_anywhere_is_noticed() -> None:
    data = file_of(pictures.opened(SAMPLE).resize((40, 40)), "PNG")
    for length in (0, 7, 20, 33, len(data) // 2, len(data) - 12, len(data) - 1):
        with pytest.raises(Truncated):
            strip_png(data[:length])
        assert not ends_properly(data[:length], "PNG")
    assert ends_properly(data, "PNG")


@pytest.mark.parametrize("format", ["GIF", "WEBP", "JPEG", "PNG"])
def test_ends_are_seen_whatever_follows_them(format: str) -> None:
    frames = [pictures.opened(SAMPLE).resize((80, 80)), two_halves(80, 80)]
    more = {"save_all": True, "append_images": frames[1:]} if format in ("GIF", "WEBP") else {}
    data = file_of(frames[0], format, **more)
    assert ends_properly(data, format)
    assert ends_properly(data + b"\0trailing bytes;", format)
    for length in (4, 13, 40, len(data) // 2, len(data) - 1):
        assert not ends_properly(data[:length], format), length


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


def test_a_heic_keeps_its_length_and_its_picture_without_links_to_metadata() -> None:
    unlinked = unlink_heif_metadata(pictures.HEIC)
    assert len(unlinked) == len(pictures.HEIC)
    assert b"cdsc" not in unlinked
    assert unlinked.replace(b"skip", b"cdsc") == pictures.HEIC


def test_boxes_with_a_long_size_are_stepped_over() -> None:
    long_box = b"\0\0\0\x01free" + (20).to_bytes(8, "big") + b"cdsc"
    unlinked = unlink_heif_metadata(pictures.HEIC[:28] + long_box + pictures.HEIC[28:])
    assert unlinked.count(b"cdsc") == unlinked.count(b"skip") == 1


def test_a_heic_cut_off_in_its_index_is_noticed() -> None:
    with pytest.raises(Truncated):
        unlink_heif_metadata(pictures.HEIC[:200])
