"""What walking a WebP keeps, drops and notices."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from persqa_client.images.containers import Truncated
from persqa_client.images.webp import read_webp
from tests.images import pictures
from tests.images.pictures import exif, file_of, pixels, riff, silent, talkative_webp, two_halves, webp_chunk

PHOTO = pictures.opened(pictures.SAMPLES[0].read_bytes()).resize((121, 80))


@pytest.mark.parametrize("lossless", [False, True], ids=["VP8", "VP8L"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_all_that_programs_add_goes_and_the_simple_form_comes_back(lossless: bool, orientation: int) -> None:
    data = talkative_webp(PHOTO, orientation, lossless=lossless)
    assert not silent(data)
    stripped = read_webp(data)
    assert (stripped.width, stripped.height, stripped.plain, stripped.orientation) == (121, 80, True, orientation)
    assert stripped.data == file_of(PHOTO, "WEBP", lossless=lossless)
    assert pixels(stripped.data) == pixels(data)
    assert read_webp(stripped.data).data == stripped.data


@pytest.mark.parametrize(
    ("settings", "mode", "plain"),
    [
        pytest.param({}, "RGB", True, id="lossy"),
        pytest.param({}, "L", True, id="lossy from grey"),
        pytest.param({"lossless": True}, "RGB", True, id="lossless"),
        pytest.param({}, "RGBA", False, id="lossy with alpha"),
        pytest.param({"lossless": True}, "RGBA", False, id="lossless with alpha"),
        pytest.param({"save_all": True, "append_images": [two_halves(121, 80)]}, "RGB", False, id="animated"),
    ],
)
def test_only_still_opaque_pictures_are_plain(settings: dict[str, Any], mode: str, plain: bool) -> None:
    image = PHOTO.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    stripped = read_webp(file_of(image, "WEBP", exif=exif(6), xmp=pictures.XMP, **settings))
    assert (stripped.width, stripped.height, stripped.plain, stripped.orientation) == (121, 80, plain, 6)
    assert silent(stripped.data)
    assert pictures.opened(stripped.data).tobytes() == pictures.opened(file_of(image, "WEBP", **settings)).tobytes()


def test_flags_of_what_was_cut_go_too() -> None:
    image = Image.new("RGBA", (50, 40), (1, 2, 3, 40))
    stripped = read_webp(file_of(image, "WEBP", exif=exif(6), xmp=pictures.XMP, icc_profile=b"ICC_PROFILE"))
    assert stripped.data[12:16] == b"VP8X"
    assert stripped.data[20] == 0x10
    assert stripped.data[4:8] == (len(stripped.data) - 8).to_bytes(4, "little")


def test_unknown_chunks_go_wherever_they_lie() -> None:
    simple = file_of(PHOTO, "WEBP")
    note = webp_chunk(b"NOTE", b"secret note")
    assert read_webp(riff(note + simple[12:] + note + note) + b"secret note").data == simple


def test_a_second_picture_in_the_file_goes() -> None:
    simple = file_of(PHOTO, "WEBP")
    assert read_webp(riff(simple[12:] + file_of(two_halves(), "WEBP")[12:])).data == simple


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(riff(b""), id="no chunk"),
        pytest.param(riff(webp_chunk(b"VP8X", bytes(10))), id="a header alone"),
        pytest.param(riff(webp_chunk(b"VP8 ", bytes(40))), id="no start code of a lossy picture"),
        pytest.param(riff(webp_chunk(b"VP8L", bytes(40))), id="no sign of a lossless picture"),
        pytest.param(riff(webp_chunk(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + bytes(40))[:-9]), id="a chunk behind the end"),
    ],
)
def test_a_webp_without_a_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Truncated):
        read_webp(data)
