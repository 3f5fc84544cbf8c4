"""Converting images for servers that refuse a format, or requests of many bytes."""

from __future__ import annotations

import asyncio
import gc
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.decode import JPEG_QUALITY, SMALLEST_PIXELS, convert_image
from persqa_client.images.loader import ImageConverter, ImageForm, add_image_uuid, divide_bytes, total_size
from persqa_client.types import EncodedImage
from tests.images.image_files import SAMPLES, check_and_decode, decode, decode_rgb_bytes, encode
from tests.support.cases import each_case

PHOTO = decode(SAMPLES[0].read_bytes())
NOISE = Image.frombytes("RGB", (700, 600), random.Random(1).randbytes(3 * 700 * 600))
DRAWING = Image.new("RGB", (300, 200), "white")
DRAWING.paste((200, 30, 40), (40, 40, 90, 160))

WEBP = frozenset({"image/webp"})


def encoded(image: Image.Image, format: str, **settings: object) -> EncodedImage:
    return EncodedImage(encode(image, format, **settings), f"image/{format.lower()}", *image.size)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(encoded(PHOTO, "WEBP"), "image/jpeg", id="lossy photo"),
        pytest.param(encoded(PHOTO, "WEBP", lossless=True), "image/jpeg", id="lossless photo"),
        pytest.param(encoded(DRAWING, "WEBP", lossless=True), "image/png", id="lossless drawing"),
        pytest.param(encoded(DRAWING.convert("L"), "WEBP", lossless=True), "image/png", id="lossless grey drawing"),
    ],
)
def test_a_webp_becomes_a_png_where_that_is_small_and_else_a_jpeg(image: EncodedImage, expected: str) -> None:
    converted = convert_image(image, WEBP)
    assert converted.media_type == expected
    pixels = check_and_decode(converted)
    assert pixels.size == (image.width, image.height)
    if expected == "image/png":
        assert decode_rgb_bytes(converted.data) == decode_rgb_bytes(image.data)
    else:
        differences = [abs(a - b) for a, b in zip(pixels.tobytes(), decode_rgb_bytes(image.data), strict=True)]
        assert sum(differences) / len(differences) < 3
    assert convert_image(image, WEBP | {"image/png"}).media_type == "image/jpeg"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_an_image_that_is_accepted_stays_as_it_is(format: str) -> None:
    image = encoded(PHOTO, format)
    assert convert_image(image, ()) is image
    assert convert_image(image, {"image/gif"}, len(image.data)) is image


def test_a_large_png_becomes_a_jpeg_of_the_same_size_first() -> None:
    image = encoded(PHOTO, "PNG")
    jpeg = encode(PHOTO, "JPEG", quality=JPEG_QUALITY)
    converted = convert_image(image, (), len(image.data) - 1)
    assert (converted.data, converted.width, converted.height) == (jpeg, *PHOTO.size)
    assert convert_image(image, (), len(jpeg)).data == jpeg


@each_case("share", [0.9, 0.5, 0.2, 0.05])
@each_case("format", ["JPEG", "PNG", "WEBP"])
def test_an_image_is_reduced_to_a_limit_of_bytes(format: str, share: float) -> None:
    image = encoded(NOISE, format, quality=95)
    limit = int(len(encode(NOISE, "JPEG", quality=JPEG_QUALITY)) * share)
    converted = convert_image(image, (), limit)
    size = check_and_decode(converted).size
    assert size[0] / size[1] == pytest.approx(NOISE.width / NOISE.height, rel=0.02)
    assert len(converted.data) <= limit or size[0] * size[1] <= SMALLEST_PIXELS
    if share > 0.3:
        assert limit * 0.7 < len(converted.data) <= limit


def test_the_smallest_image_has_few_pixels_and_a_low_quality() -> None:
    converted = convert_image(encoded(NOISE, "JPEG"), (), 1)
    assert SMALLEST_PIXELS * 0.98 < converted.width * converted.height <= SMALLEST_PIXELS
    assert converted.data == convert_image(encoded(NOISE, "JPEG"), (), 1).data
    small = encoded(NOISE.resize((100, 80)), "JPEG", quality=30)
    assert convert_image(small, (), 1) is small, "a conversion would have more bytes"


def test_a_strip_keeps_sides_that_models_accept() -> None:
    converted = convert_image(encoded(NOISE.resize((6_000, 32)), "JPEG", quality=95), (), 9_000)
    assert converted.height == 32
    assert converted.width < 200 * 32


def test_a_damaged_image_is_named_truncated() -> None:
    with pytest.raises(RowError, match=r"^An image starts as WEBP but is truncated") as caught:
        convert_image(EncodedImage(b"RIFF....WEBPVP8 ", "image/webp", 40, 30), WEBP)
    assert caught.value.code == "image_truncated"


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        pytest.param([300], 210, 208, id="one, rounded down"),
        pytest.param([100, 300], 320, 216, id="what the smaller one leaves"),
        pytest.param([100, 300, 300], 300, 100, id="equal parts"),
        pytest.param([10, 20], 100, 100, id="enough for all"),
        pytest.param([], 100, 100, id="none"),
    ],
)
def test_the_largest_images_are_reduced(sizes: list[int], total: int, expected: int) -> None:
    assert divide_bytes(sizes, total) == expected


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=9), st.integers(100, 10**7))
def test_the_parts_fill_the_total_but_for_a_sixteenth(sizes: list[int], total: int) -> None:
    share = divide_bytes(sizes, total)
    sent = sum(min(size, share) for size in sizes)
    assert sent <= total
    if sum(sizes) > total:
        assert sent >= total * 15 / 16 - 2 * len(sizes)


def shared(image: EncodedImage) -> EncodedImage:
    return add_image_uuid(image, {})


async def test_an_image_of_many_requests_is_converted_once() -> None:
    converter, image = ImageConverter({}), encoded(PHOTO, "WEBP")
    form = ImageForm(WEBP)
    results = await asyncio.gather(*(converter.convert([image, image], form) for _ in range(5)))
    assert len({id(converted) for result in results for converted in result}) == 1
    assert (await converter.convert([image], form))[0] is results[0][0]
    other = await converter.convert([image], ImageForm(WEBP, 4_000))
    assert other[0].data != results[0][0].data


async def test_converted_images_live_as_long_as_their_originals() -> None:
    converter, image = ImageConverter({}), encoded(PHOTO, "WEBP")
    await converter.convert([image, encoded(NOISE.resize((100, 80)), "JPEG", quality=30)], ImageForm(WEBP, 9_000))
    assert len(converter._converted) == 1
    del image
    gc.collect()
    assert not converter._converted
    assert not converter._running


async def test_a_uuid_never_names_two_contents() -> None:
    converter = ImageConverter({"mm_processor_kwargs": {"max_pixels": 9}})
    image = shared(encoded(PHOTO, "WEBP"))
    forms = [ImageForm(), ImageForm(WEBP), ImageForm(WEBP, 40_000), ImageForm(frozenset(), 4_000)]
    sent = [(await converter.convert([image], form))[0] for form in forms]
    assert len({one.uuid for one in sent}) == len({one.data for one in sent}) == len(forms)
    plain = replace(sent[1], uuid=None)
    assert add_image_uuid(plain, {"mm_processor_kwargs": {"max_pixels": 9}}).uuid == sent[1].uuid
    unshared = replace(image, uuid=None)
    assert [one.uuid for form in forms for one in await converter.convert([unshared], form)] == [None] * len(forms)


async def test_the_images_of_a_request_are_reduced_together() -> None:
    converter, images = ImageConverter({}), [encoded(DRAWING, "PNG"), *(encoded(NOISE, "PNG") for _ in range(2))]
    sent = await converter.convert(images, ImageForm(max_bytes=300_000))
    assert sent[0] is images[0]
    assert 200_000 < total_size(sent) <= 300_000


async def test_each_request_gets_its_own_error() -> None:
    converter, image = ImageConverter({}), EncodedImage(b"RIFF....WEBPVP8 ", "image/webp", 40, 30)
    errors = await asyncio.gather(
        *(converter.convert([image], ImageForm(WEBP)) for _ in range(3)), return_exceptions=True
    )
    assert len({id(error) for error in errors}) == 3
    assert all(isinstance(error, RowError) and error.code == "image_truncated" for error in errors)


async def test_a_cancelled_request_leaves_the_conversion_to_the_others() -> None:
    converter, image = ImageConverter({}), encoded(PHOTO, "WEBP")
    first, second = (asyncio.create_task(converter.convert([image], ImageForm(WEBP))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second)[0].media_type == "image/jpeg"
    assert first.cancelled()
