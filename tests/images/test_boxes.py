"""Boxes around the main character: what rows write, and what the image shows that is sent."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image, ImageDraw, ImageOps

from persqa_client.errors import RowError
from persqa_client.images.boxes import add_margin, draw_box, locate_box, parse_boxes, scale_box
from persqa_client.images.loader import ImageCache
from persqa_client.images.prepare import load_image
from persqa_client.types import BoxFormat, BoxMark, BoxMode, EncodedImage
from tests.support.cases import each_case

SIZE = (640, 480)
# The main character of the test images, in the upright image, and its surroundings.
PLACE = (400, 100, 500, 300)
YELLOW, GREY = (240, 220, 40), (120, 120, 120)


def make_mark(box: tuple[float, ...] = PLACE, mode: BoxMode = "drawn", *, relative: bool = False) -> BoxMark:
    return BoxMark(box[0], box[1], box[2], box[3], relative, mode)


@pytest.fixture
def upright() -> Image.Image:
    image = Image.new("RGB", SIZE, GREY)
    ImageDraw.Draw(image).rectangle((*PLACE[:2], PLACE[2] - 1, PLACE[3] - 1), fill=YELLOW)
    return image


def load(path: Path, mark: BoxMark | None, max_pixels: int = 10**6) -> Image.Image:
    return decode(load_image(str(path), (), max_pixels=max_pixels, mark=mark))


def decode(image: EncodedImage) -> Image.Image:
    return Image.open(io.BytesIO(image.data)).convert("RGB")


def is_like(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 60 for a, b in zip(pixel, colour, strict=True))


def is_red(pixel: Any) -> bool:
    return is_like(pixel, (255, 0, 0))


@each_case(
    ("value", "form", "corners"),
    [
        ([1, 2, 30, 40], "xyxy", (1, 2, 30, 40)),
        ([1, 2.5, 30, 40], "xywh", (1, 2.5, 31, 42.5)),
        ([0.25, 0, 1, 0.5], "normalized", (0.25, 0, 1, 0.5)),
        ("[1, 2, 30, 40]", "xyxy", (1, 2, 30, 40)),
    ],
)
def test_a_box_is_read_in_each_format(value: object, form: BoxFormat, corners: tuple[float, ...]) -> None:
    [mark] = parse_boxes(value, form, "drawn", 1)
    assert mark == BoxMark(*corners, form == "normalized", "drawn")  # type: ignore[arg-type,call-arg]


def test_one_box_belongs_to_the_first_image_and_a_list_has_one_for_each() -> None:
    box, other = [1, 2, 3, 4], [5, 6, 7, 8]
    first = make_mark((1, 2, 3, 4))
    assert parse_boxes(box, "xyxy", "drawn", 3) == (first, None, None)
    assert parse_boxes([None, other, box], "xyxy", "drawn", 3) == (None, make_mark((5, 6, 7, 8)), first)
    assert parse_boxes([box], "xyxy", "drawn", 1) == (first,)
    for nothing in (None, "", " ", "null", [None, None]):
        assert parse_boxes(nothing, "xyxy", "drawn", 2) == (None, None)


@each_case(
    ("value", "form", "words"),
    [
        ([1, 2, 3], "xyxy", "is [1, 2, 3]; a box is [x1, y1, x2, y2] in pixels (--box-format)"),
        ([1, 2, 3, 4, 5], "xyxy", "is [1, 2, 3, 4, 5]; a box is"),
        ([], "xyxy", "is []; a box is"),
        (["1", "2", "3", "4"], "xyxy", "is ['1', '2', '3', '4']; a box is"),
        ([1, 2, 3, True], "xyxy", "is [1, 2, 3, True]; a box is"),
        ([1, 2, float("nan"), 4], "xyxy", "is [1, 2, nan, 4]; a box is"),
        ([1, 2, 3, 10**400], "xyxy", "is [1, 2, 3, 1000"),
        (f"[-1{'0' * 400}, 2, 3, 4]", "normalized", "is [-1000"),
        ("[null, " + "[" * 1000 + "]" * 1001, "xyxy", "; a box is"),
        ("[null, " + "[" * 200_000 + "]" * 200_001, "xyxy", "; a box is"),
        ([1, 2, float("inf"), 4], "xywh", "is [1, 2, inf, 4]; a box is [x, y, width, height]"),
        ("left", "xyxy", "is 'left'; a box is"),
        ({"x": 1}, "xyxy", "is {'x': 1}; a box is"),
        (7, "xyxy", "is 7; a box is"),
        ("9" * 500, "xyxy", "; a box is"),
        ([30, 2, 1, 40], "xyxy", "no width or no height as [x1, y1, x2, y2] in pixels; give --box-format xywh if"),
        ([1, 40, 30, 40], "xyxy", "no width or no height as"),
        ([1, 2, 0, 40], "xywh", "no width or no height as [x, y, width, height] in pixels"),
        (
            [1, 2, 30, 40],
            "normalized",
            "is [1, 2, 30, 40], which is not [x1, y1, x2, y2] from 0 to 1; see --box-format",
        ),
        ([0.1, 0.1, 0.5, 0.5], "xyxy", "whose numbers are from 0 to 1; give --box-format normalized, or pixels"),
        ([0, 0, 1, 1], "xywh", "whose numbers are from 0 to 1; give --box-format normalized, or pixels"),
        ([[1, 2, 3, 4]], "xyxy", "has 1 boxes for 2 images; give one for each, or null"),
        ([[1, 2, 3, 4], [1, 2]], "xyxy", "is [1, 2]; a box is"),
    ],
)
def test_what_is_no_box_is_refused_with_what_a_box_is(value: object, form: BoxFormat, words: str) -> None:
    with pytest.raises(RowError) as caught:
        parse_boxes(value, form, "drawn", 2)
    assert caught.value.code == "box_invalid"
    assert words in caught.value.message
    assert len(caught.value.message) < 250


def test_a_value_too_deep_to_be_shown_is_refused() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RowError) as caught:
        parse_boxes([None, value], "xyxy", "drawn", 2)
    assert caught.value.message.startswith("is nested too deeply; a box is [x1, y1, x2, y2] in pixels")


def test_a_box_may_be_rounded_out_of_the_image_and_no_further() -> None:
    assert locate_box(make_mark((-1.5, -1, 642, 481)), SIZE) == (0, 0, 640, 480)
    assert locate_box(make_mark((0.25, 0.5, 1.001, 1), relative=True), SIZE) == (160, 240, 640, 480)
    for box in ((600, 10, 700, 20), (-20, 10, 30, 20), (10, 450, 20, 500), (10, -9, 20, 5), (641, 10, 642, 20)):
        with pytest.raises(RowError, match="has 640 x 480 pixels, and its box from x1, y1 to x2, y2") as caught:
            locate_box(make_mark(box), SIZE)
        assert caught.value.code == "box_invalid"


def test_a_cut_has_a_margin_within_the_image() -> None:
    assert add_margin(locate_box(make_mark(), SIZE), SIZE) == (390, 80, 510, 320)
    assert add_margin(locate_box(make_mark((0, 0, 640, 100)), SIZE), SIZE) == (0, 0, 640, 110)
    with pytest.raises(RowError, match="has 640 x 3 pixels in its box; models refuse") as caught:
        add_margin(locate_box(make_mark((0, 10, 640, 11)), SIZE), SIZE)
    assert caught.value.code == "box_invalid"


@pytest.mark.parametrize("background", [GREY, (255, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_line_is_red_between_white_and_around_the_box(background: tuple[int, int, int], mode: str) -> None:
    image = Image.new("RGB", SIZE, background).convert(mode)
    drawn = draw_box(image, locate_box(make_mark(), SIZE))
    colours = [drawn.getpixel((x, 200)) for x in range(380, 420)]
    reds = [x for x, colour in zip(range(380, 420), colours, strict=True) if colour == (255, 0, 0)]
    whites = [x for x, colour in zip(range(380, 420), colours, strict=True) if colour == (255, 255, 255)]
    if background == GREY:
        # Outside of the box, from its edge on.
        assert reds == [396, 397, 398]
        assert whites == [395, 399]
    assert (255, 255, 255) in colours
    assert drawn.getpixel((450, 200)) == Image.new("RGB", (1, 1), background).convert(mode).convert("RGB").getpixel(
        (0, 0)
    )


@each_case("box", [(0, 0, 640, 480), (0, 0, 1, 1), (639, 479, 640, 480), (0, 0, 640, 2), (10.4, 10.6, 11, 11)])
def test_boxes_at_the_edge_and_tiny_ones_are_drawn(box: tuple[float, ...]) -> None:
    drawn = draw_box(Image.new("RGB", SIZE), locate_box(make_mark(box), SIZE))
    assert drawn.size == SIZE
    assert (255, 0, 0) in {colour for _, colour in drawn.getcolors(9) or []}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "bmp", "avif"])
@pytest.mark.parametrize("max_pixels", [10**6, 160 * 120])
def test_the_box_is_drawn_at_its_place(suffix: str, max_pixels: int, upright: Image.Image, tmp_path: Path) -> None:
    upright.save(tmp_path / f"a.{suffix}")
    plain, drawn = (
        load(tmp_path / f"a.{suffix}", None, max_pixels),
        load(tmp_path / f"a.{suffix}", make_mark(), max_pixels),
    )
    assert drawn.size == plain.size
    scale = drawn.width / SIZE[0]
    row = round(200 * scale)
    reds = [x / scale for x in range(drawn.width) if is_red(drawn.getpixel((x, row)))]
    assert min(reds) == pytest.approx(PLACE[0] - 3, abs=3 / scale)
    assert max(reds) == pytest.approx(PLACE[2] + 2, abs=3 / scale)
    assert is_like(drawn.getpixel((round(450 * scale), row)), YELLOW)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", get_args(BoxMode))
@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_the_box_is_one_of_the_upright_image(
    orientation: int, mode: BoxMode, suffix: str, upright: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # As stored, so that a viewer which obeys the orientation shows it upright.
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    turned = upright.copy()
    turned.getexif()[0x0112] = back
    stored = ImageOps.exif_transpose(turned)
    stored.save(tmp_path / f"a.{suffix}", exif=exif)
    shown = load(tmp_path / f"a.{suffix}", make_mark(mode=mode))
    if mode == "drawn":
        assert shown.size == SIZE
        assert is_red(shown.getpixel((397, 200)))
        assert is_red(shown.getpixel((450, 97)))
        assert is_like(shown.getpixel((450, 200)), YELLOW)
    else:
        assert shown.size == (120, 240)
        assert is_like(shown.getpixel((60, 120)), YELLOW)
        assert is_like(shown.getpixel((4, 120)), GREY)
        assert not any(is_red(pixel) for pixel in (shown.getpixel((x, 120)) for x in range(120)))


def test_a_cut_of_a_large_photo_keeps_its_pixels(tmp_path: Path) -> None:
    """Lines of one pixel, which a reduction before the cut would make grey."""
    image = Image.new("L", (4000, 3000), 255)
    draw = ImageDraw.Draw(image)
    for x in range(0, 4000, 4):
        draw.rectangle((x, 0, x + 1, 2999), fill=0)
    image.save(tmp_path / "a.jpg", quality=95)
    cut = load(tmp_path / "a.jpg", make_mark((2000, 1000, 2400, 1300), "cropped"), 1_003_520)
    assert cut.size == (480, 360)
    low, high = cut.convert("L").getextrema()
    assert low < 20  # type: ignore[operator]
    assert high > 235  # type: ignore[operator]


def test_images_of_one_file_are_cached_by_their_boxes(upright: Image.Image, tmp_path: Path) -> None:
    upright.save(tmp_path / "a.png")
    cache = ImageCache([tmp_path], max_pixels=10**6, max_bytes=10**7)
    boxes: list[BoxMark | None] = [None, make_mark(), make_mark(mode="cropped"), make_mark((1, 2, 300, 400))]
    first = [cache.load("a.png", mark=mark) for mark in boxes]
    assert len({image.data for image in first}) == len(boxes)
    assert {image.source_digest for image in first} == {first[0].source_digest}
    assert [cache.load_at_once("a.png", mark=mark) for mark in boxes] == first
    assert cache.load_at_once("a.png", mark=make_mark((1, 1, 2, 2))) is None


def test_a_box_outside_of_the_image_is_named_with_it(upright: Image.Image, tmp_path: Path) -> None:
    upright.save(tmp_path / "a.png")
    for mode in get_args(BoxMode):
        with pytest.raises(RowError, match=r"^a\.png has 640 x 480 pixels, and its box") as caught:
            load_image("a.png", [tmp_path], max_pixels=100 * 100, mark=make_mark((0, 0, 900, 100), mode))
        assert caught.value.code == "box_invalid"


def test_a_box_is_scaled_with_its_image() -> None:
    assert scale_box(locate_box(make_mark(), SIZE), SIZE, (320, 120)) == (200, 25, 250, 75)


def test_boxes_of_json_are_read_as_they_are_written() -> None:
    value = json.loads('{"box": [1e1, 2, 3.5e1, 40]}')["box"]
    assert parse_boxes(value, "xyxy", "cropped", 1) == (make_mark((10, 2, 35, 40), "cropped"),)
