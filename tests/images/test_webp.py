"""Removing the metadata of WebPs, and finding truncated ones."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from persqa_client.images.containers import TruncatedImage
from persqa_client.images.webp import strip_webp
from tests.images import image_files
from tests.images.image_files import (
    decode_rgb_bytes,
    encode,
    has_no_metadata,
    make_exif,
    make_webp,
    make_webp_chunk,
    red_and_blue,
    webp_with_metadata,
)
from tests.support.cases import each_case

PHOTO = image_files.decode(image_files.SAMPLES[0].read_bytes()).resize((121, 80))


@pytest.mark.parametrize("lossless", [False, True], ids=["VP8", "VP8L"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_all_that_programs_add_is_removed(lossless: bool, orientation: int) -> None:
    data = webp_with_metadata(PHOTO, orientation, lossless=lossless)
    assert not has_no_metadata(data)
    stripped = strip_webp(data)
    assert (stripped.width, stripped.height, stripped.plain, stripped.orientation) == (121, 80, True, orientation)
    assert stripped.data == encode(PHOTO, "WEBP", lossless=lossless)
    assert decode_rgb_bytes(stripped.data) == decode_rgb_bytes(data)
    assert strip_webp(stripped.data).data == stripped.data


@each_case(
    ("settings", "mode", "plain"),
    [
        pytest.param({}, "RGB", True, id="lossy"),
        pytest.param({}, "L", True, id="lossy from grey"),
        pytest.param({"lossless": True}, "RGB", True, id="lossless"),
        pytest.param({}, "RGBA", False, id="lossy with alpha"),
        pytest.param({"lossless": True}, "RGBA", False, id="lossless with alpha"),
        pytest.param({"save_all": True, "append_images": [red_and_blue(121, 80)]}, "RGB", False, id="animated"),
    ],
)
def test_only_still_opaque_images_are_plain(settings: dict[str, Any], mode: str, plain: bool) -> None:
    image = PHOTO.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    stripped = strip_webp(encode(image, "WEBP", exif=make_exif(6), xmp=image_files.XMP, **settings))
    assert (stripped.width, stripped.height, stripped.plain, stripped.orientation) == (121, 80, plain, 6)
    assert has_no_metadata(stripped.data)
    assert (
        image_files.decode(stripped.data).tobytes() == image_files.decode(encode(image, "WEBP", **settings)).tobytes()
    )


def test_flags_of_removed_chunks_are_cleared() -> None:
    image = Image.new("RGBA", (50, 40), (1, 2, 3, 40))
    stripped = strip_webp(encode(image, "WEBP", exif=make_exif(6), xmp=image_files.XMP, icc_profile=b"ICC_PROFILE"))
    assert stripped.data[12:16] == b"VP8X"
    assert stripped.data[20] == 0x10
    assert stripped.data[4:8] == (len(stripped.data) - 8).to_bytes(4, "little")


def test_unknown_chunks_are_removed_everywhere() -> None:
    simple = encode(PHOTO, "WEBP")
    note = make_webp_chunk(b"NOTE", b"secret note")
    assert strip_webp(make_webp(note + simple[12:] + note + note) + b"secret note").data == simple


def test_a_second_image_in_the_file_is_removed() -> None:
    simple = encode(PHOTO, "WEBP")
    assert strip_webp(make_webp(simple[12:] + encode(red_and_blue(), "WEBP")[12:])).data == simple


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(make_webp(b""), id="no chunk"),
        pytest.param(make_webp(make_webp_chunk(b"VP8X", bytes(10))), id="only a header"),
        pytest.param(make_webp(make_webp_chunk(b"VP8 ", bytes(40))), id="lossy without start code"),
        pytest.param(make_webp(make_webp_chunk(b"VP8L", bytes(40))), id="lossless without signature"),
        pytest.param(make_webp(make_webp_chunk(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + bytes(40))[:-9]), id="truncated chunk"),
    ],
)
def test_a_webp_without_an_image_is_rejected(data: bytes) -> None:
    with pytest.raises(TruncatedImage):
        strip_webp(data)
