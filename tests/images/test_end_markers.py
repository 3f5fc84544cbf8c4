"""Files that lack only their end are sent; those that lack pixels are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.end_markers import restore_end
from persqa_client.images.prepare import load_image
from tests.images import image_files
from tests.images.image_files import check_and_decode, decode_rgb_bytes, encode

PHOTO = image_files.decode(image_files.SAMPLES[0].read_bytes()).resize((240, 160))
FLAT = Image.new("RGB", (240, 160), (10, 20, 30))
END_SIZES = {"JPEG": 2, "PNG": 12, "GIF": 1}
FILES: dict[str, tuple[str, Image.Image, dict[str, Any]]] = {
    "JPEG": ("JPEG", PHOTO, {}),
    "JPEG in grey": ("JPEG", PHOTO.convert("L"), {}),
    "JPEG with optimised tables": ("JPEG", PHOTO, {"optimize": True, "subsampling": 0}),
    "JPEG with restart markers": ("JPEG", PHOTO, {"restart_marker_blocks": 9}),
    "JPEG of one colour": ("JPEG", FLAT, {"optimize": True}),
    "PNG": ("PNG", PHOTO, {}),
    "PNG with a palette": ("PNG", PHOTO.convert("P"), {}),
    "GIF": ("GIF", PHOTO.convert("P"), {}),
}
each_file = pytest.mark.parametrize("kind", FILES)


def make(kind: str) -> tuple[str, bytes]:
    format, image, options = FILES[kind]
    return format, encode(image, format, **options)


@each_file
def test_a_file_without_its_end_marker_arrives_with_all_its_pixels(kind: str, tmp_path: Path) -> None:
    format, data = make(kind)
    (tmp_path / "image").write_bytes(data[: -END_SIZES[format]])
    sent = load_image("image", [tmp_path], max_pixels=10**6)
    check_and_decode(sent)
    restored = restore_end(data[: -END_SIZES[format]], format)
    assert restored is not None
    assert decode_rgb_bytes(restored) == decode_rgb_bytes(data)


@each_file
@pytest.mark.parametrize("missing", [0.02, 0.1, 0.5, 0.9])
def test_a_file_without_some_of_its_pixels_is_refused(kind: str, missing: float, tmp_path: Path) -> None:
    format, data = make(kind)
    (tmp_path / "image").write_bytes(data[: int(len(data) * (1 - missing)) - END_SIZES[format]])
    with pytest.raises(RowError) as caught:
        load_image("image", [tmp_path], max_pixels=10**6)
    assert caught.value.code == "image_truncated"


# In an image of one colour, zeros may be pixels.
JPEGS = [kind for kind in FILES if kind.startswith("JPEG") and FILES[kind][1] is not FLAT]


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("missing", [0.05, 0.4])
def test_zeros_in_place_of_pixels_are_refused(kind: str, missing: float, tmp_path: Path) -> None:
    """So do files end that a download manager allocates before it has their content."""
    _, data = make(kind)
    kept = int(len(data) * (1 - missing))
    (tmp_path / "image").write_bytes(data[:kept] + bytes(len(data) - kept))
    with pytest.raises(RowError, match="truncated"):
        load_image("image", [tmp_path], max_pixels=10**6)


@pytest.mark.parametrize("kind", JPEGS)
def test_zeros_in_place_of_the_end_marker_alone_are_no_pixels(kind: str) -> None:
    _, data = make(kind)
    restored = restore_end(data[:-2] + bytes(2000), "JPEG")
    assert restored is not None
    assert decode_rgb_bytes(restored) == decode_rgb_bytes(data)


def test_a_progressive_jpeg_without_its_end_may_lack_scans(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(encode(PHOTO, "JPEG", progressive=True)[:-2])
    with pytest.raises(RowError):
        load_image("image", [tmp_path], max_pixels=10**6)


def test_an_animation_without_its_end_is_sent_if_its_first_image_is_complete() -> None:
    data = encode(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)])
    assert restore_end(data[: int(len(data) * 0.8)], "GIF") is not None
    assert restore_end(data[: int(len(data) * 0.3)], "GIF") is None
