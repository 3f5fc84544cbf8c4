"""What walking a PNG keeps, drops and notices."""

from __future__ import annotations

import pytest
from PIL import Image

from persqa_client.images.containers import Truncated
from persqa_client.images.png import read_png
from tests.images import pictures
from tests.images.pictures import file_of, pixels, silent, two_halves

SAMPLE = pictures.SAMPLES[0].read_bytes()


def strip_png(data: bytes) -> bytes:
    return read_png(data).data


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


def test_a_png_that_does_not_open_with_its_header_is_refused() -> None:
    data = file_of(two_halves(), "PNG")
    with pytest.raises(Truncated):
        read_png(data[:8] + pictures.png_chunk(b"sRGB", b"\0") + data[8:])
