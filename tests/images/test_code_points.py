"""Colours that a file names by code points instead of a profile are converted to sRGB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from persqa_client.images.code_points import make_profile
from persqa_client.images.colour import convert_to_srgb
from persqa_client.images.heif import read_code_points
from tests.images.icc_profiles import DISPLAY_P3, rgb_profile
from tests.images.image_files import encode, is_near, make_png_chunk
from tests.images.test_profiles import RED, RED_IN_P3, send

IMAGE = Image.new("RGB", (96, 64), RED_IN_P3)
BT709, BT2020, P3 = 1, 9, 12
SRGB, PQ, HLG = 13, 16, 18
HEADER_END = 33


def make_png(primaries: int, transfer: int, image: Image.Image = IMAGE, **options: object) -> bytes:
    png = encode(image, "PNG", **options)
    return png[:HEADER_END] + make_png_chunk(b"cICP", bytes((primaries, transfer, 0, 1))) + png[HEADER_END:]


def make_avif(primaries: int, transfer: int, image: Image.Image = IMAGE) -> bytes:
    avif = encode(image, "AVIF", quality=95, subsampling="4:0:0" if image.mode == "L" else "4:4:4")
    box = avif.index(b"colrnclx") + 8
    return avif[:box] + bytes((0, primaries, 0, transfer)) + avif[box + 4 :]


@pytest.mark.parametrize("make", [make_png, make_avif])
def test_a_wide_gamut_arrives_in_srgb(make: Callable[..., bytes], tmp_path: Path) -> None:
    assert is_near(send(make(P3, SRGB), tmp_path).convert("RGB").getpixel((20, 20)), RED, 5)
    assert is_near(send(make(BT709, SRGB), tmp_path).convert("RGB").getpixel((20, 20)), RED_IN_P3, 4)


@pytest.mark.parametrize("make", [make_png, make_avif])
@pytest.mark.parametrize(("transfer", "paper_white"), [(PQ, 148), (HLG, 191)])
def test_white_paper_in_high_dynamic_range_becomes_white(
    make: Callable[..., bytes], transfer: int, paper_white: int, tmp_path: Path
) -> None:
    """58 % of the signal of PQ, and 75 % of that of HLG, by BT.2408."""
    image = Image.new("RGB", (96, 64), (paper_white,) * 3)
    image.paste((0, 0, 0), (48, 0, 96, 64))
    sent = send(make(BT2020, transfer, image), tmp_path).convert("RGB")
    assert is_near(sent.getpixel((20, 20)), (255, 255, 255), 6)
    assert is_near(sent.getpixel((80, 20)), (0, 0, 0), 6)


@pytest.mark.parametrize("is_first", [True, False])
def test_code_points_of_a_png_are_preferred_to_its_profile(is_first: bool, tmp_path: Path) -> None:
    png = make_png(BT709, SRGB, icc_profile=rgb_profile(DISPLAY_P3))
    if not is_first:
        chunk, profile = png[HEADER_END : HEADER_END + 16], png.index(b"iCCP") - 4
        end = profile + 12 + int.from_bytes(png[profile : profile + 4], "big")
        png = png[:HEADER_END] + png[profile:end] + chunk + png[end:]
    assert is_near(send(png, tmp_path).getpixel((20, 20)), RED_IN_P3, 1)


@pytest.mark.parametrize("code_points", [(2, 2), (0, 0), (2, SRGB), (P3, 2), (BT709, 3), (BT709, 17), (10, SRGB)])
def test_a_profile_is_kept_beside_code_points_that_name_no_colours(
    code_points: tuple[int, int], tmp_path: Path
) -> None:
    png = make_png(*code_points, icc_profile=rgb_profile(DISPLAY_P3))
    assert is_near(send(png, tmp_path).getpixel((20, 20)), RED, 5)


@pytest.mark.parametrize("make", [make_png, make_avif])
@pytest.mark.parametrize(("code_points", "grey"), [((BT2020, PQ), 148), ((BT2020, HLG), 191), ((BT709, 8), 128)])
def test_greys_are_converted_like_colours(
    make: Callable[..., bytes], code_points: tuple[int, int], grey: int, tmp_path: Path
) -> None:
    image = Image.new("L", (96, 64), grey)
    sent, in_colour = (
        send(make(*code_points, each), tmp_path).convert("RGB") for each in (image, image.convert("RGB"))
    )
    assert max(ImageChops.difference(sent, in_colour).tobytes()) <= 2
    assert not is_near(sent.getpixel((20, 20)), (grey, grey, grey), 40)


def test_a_png_in_srgb_is_sent_as_it_is(tmp_path: Path) -> None:
    assert send(make_png(BT709, SRGB), tmp_path).tobytes() == IMAGE.tobytes()


def test_a_profile_is_as_good_as_the_published_one() -> None:
    ours, published = (convert_to_srgb(IMAGE, profile) for profile in (make_profile(P3, 4), rgb_profile(DISPLAY_P3)))
    assert max(ImageChops.difference(ours, published).tobytes()) <= 1
    assert make_profile(BT709, SRGB) == make_profile(2, 2) == make_profile(6, 6) == b""


def test_files_without_code_points_are_in_srgb() -> None:
    assert make_profile(*read_code_points(b"")) == b""
    assert read_code_points(make_avif(BT2020, PQ)) == (BT2020, PQ)
    assert read_code_points(make_avif(BT2020, PQ)[:200]) == (2, 2)
