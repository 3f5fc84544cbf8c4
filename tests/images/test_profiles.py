"""Colours that are not sRGB are converted by the profile of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageCms

from persqa_client.images.colour import changes_colours, convert_to_srgb
from persqa_client.images.prepare import load_image
from tests.images.icc_profiles import ADOBE_RGB, DISPLAY_P3, cmyk_profile, grey_profile, rgb_profile
from tests.images.image_files import (
    check_and_decode,
    decode,
    encode,
    insert_after_jfif,
    is_near,
    make_jpeg_segment,
    make_png_chunk,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = rgb_profile(DISPLAY_P3)
# A red of sRGB, and its numbers in Display P3.
RED, RED_IN_P3 = (219, 37, 49), (200, 60, 60)


def send(data: bytes, folder: Path, max_pixels: int = 10**6) -> Image.Image:
    (folder / "image").write_bytes(data)
    return check_and_decode(load_image("image", [folder], max_pixels=max_pixels))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    ],
)
@pytest.mark.parametrize("max_pixels", [10**6, 3000])
def test_a_wide_gamut_image_arrives_in_srgb(
    format: str, options: dict[str, object], max_pixels: int, tmp_path: Path
) -> None:
    image = Image.new("RGB", (96, 64), RED_IN_P3)
    sent = send(encode(image, format, icc_profile=P3, **options), tmp_path, max_pixels)
    assert is_near(sent.convert("RGB").getpixel((20, 20)), RED, 5)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_an_image_in_srgb_is_sent_as_it_is(format: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (96, 64), RED_IN_P3)
    with_profile = encode(image, format, icc_profile=SRGB)
    (tmp_path / "image").write_bytes(with_profile)
    sent = load_image("image", [tmp_path], max_pixels=10**6)
    assert sent.media_type == f"image/{format.lower()}"
    assert len(sent.data) < len(with_profile)
    assert decode(sent.data).tobytes() == decode(with_profile).tobytes()


def test_a_transparent_palette_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (96, 64), 1)
    image.putpalette([0, 0, 0, *RED_IN_P3])
    image.paste(0, (48, 0, 96, 64))
    sent = send(encode(image, "PNG", icc_profile=P3, transparency=0), tmp_path)
    assert is_near(sent.convert("RGB").getpixel((20, 20)), RED, 5)
    assert is_near(sent.convert("RGB").getpixel((90, 20)), (255, 255, 255), 3)


def test_the_parts_of_a_jpeg_profile_are_joined_in_order(tmp_path: Path) -> None:
    plain = encode(Image.new("RGB", (96, 64), RED_IN_P3), "JPEG", quality=95, subsampling=0)
    parts = [b"ICC_PROFILE\0\x01\x02" + P3[:200], b"ICC_PROFILE\0\x02\x02" + P3[200:]]
    jpeg = insert_after_jfif(plain, *(make_jpeg_segment(0xE2, part) for part in reversed(parts)))
    assert is_near(send(jpeg, tmp_path).getpixel((20, 20)), RED, 5)


def test_greys_and_inks_are_converted(tmp_path: Path) -> None:
    grey = send(encode(Image.new("L", (96, 64), 100), "TIFF", icc_profile=grey_profile(1.0)), tmp_path)
    assert is_near(grey.convert("RGB").getpixel((20, 20)), (168, 168, 168), 3)
    inks = cmyk_profile((150, 90, 80))
    for format in ("TIFF", "JPEG"):
        cyan = send(encode(Image.new("CMYK", (96, 64), (255, 0, 0, 0)), format, icc_profile=inks), tmp_path)
        assert is_near(cyan.getpixel((20, 20)), (0, 162, 225), 5)


def test_cielab_is_converted_without_a_profile(tmp_path: Path) -> None:
    image = Image.new("RGB", (96, 64), (200, 60, 60))
    lab = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert is_near(send(encode(lab, "TIFF"), tmp_path).getpixel((20, 20)), (200, 60, 60), 4)


def test_a_damaged_profile_and_one_of_another_space_are_ignored(tmp_path: Path) -> None:
    image = Image.new("RGB", (96, 64), RED_IN_P3)
    for profile in (P3[:150], b"\0" * 300, grey_profile(1.0), b""):
        assert is_near(send(encode(image, "TIFF", icc_profile=profile), tmp_path).getpixel((20, 20)), RED_IN_P3, 4)
    png = encode(image, "PNG")
    broken = png[:33] + make_png_chunk(b"iCCP", b"name\0\0no zlib") + png[33:]
    assert is_near(send(broken, tmp_path).getpixel((20, 20)), RED_IN_P3, 4)


def test_only_other_colours_count_as_a_change() -> None:
    assert not changes_colours(SRGB)
    assert not changes_colours(b"")
    assert changes_colours(P3)
    assert changes_colours(rgb_profile(ADOBE_RGB))
    assert changes_colours(cmyk_profile((150, 90, 80)))
    image = Image.new("L", (1, 1), 7)
    assert convert_to_srgb(image, P3) is image


def test_equal_pixels_with_different_profiles_are_different_images(tmp_path: Path) -> None:
    image = Image.new("RGB", (96, 64), RED_IN_P3)
    plain, wide = (send(encode(image, "PNG", icc_profile=profile), tmp_path) for profile in (None, P3))
    assert plain.tobytes() != wide.convert("RGB").tobytes()
