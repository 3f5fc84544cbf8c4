"""Facts that are read from pixels."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from persqa_client.simulator.vision import (
    COLOURS,
    UnreadableImage,
    combine_facts,
    count_qwen_tokens,
    decode_data_url,
    read_facts,
)
from tests.simulator.requests import data_url, make_image
from tests.support.cases import each_case


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@each_case(
    ("rgb", "name"),
    [
        ("#ff0000", "red"),
        ("#0000ff", "blue"),
        ("#00aa44", "green"),
        ("#ffffff", "white"),
        ("#000000", "black"),
        ("#d3d3d3", "light grey"),
        ("#808080", "grey"),
        ("#101a60", "dark blue"),
        ("#ffd700", "yellow"),
        ("#ff8c00", "orange"),
        ("#8b5a2b", "brown"),
        ("#ffb6c1", "pink"),
        ("#87ceeb", "light blue"),
        ("#7d26cd", "purple"),
    ],
)
def test_colours_have_their_usual_names(rgb: str, name: str) -> None:
    assert read_facts(make_image(rgb)).main_colours == (name,)


def test_every_palette_colour_has_its_own_name() -> None:
    for name, (chinese, values) in COLOURS.items():
        assert chinese
        for value in values:
            assert read_facts(encoded(Image.new("RGB", (8, 8), value))).main_colours == (name,)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_size_and_colours_come_from_any_file_type(kind: str) -> None:
    image = Image.new("RGB", (300, 200), "blue")
    image.paste("white", (0, 0, 100, 200))
    facts = read_facts(encoded(image, kind))
    assert (facts.width, facts.height) == (300, 200)
    assert facts.main_colours == ("blue", "white")
    assert facts.lightest[1] == 0


def test_the_declared_type_does_not_matter() -> None:
    assert read_facts(decode_data_url(data_url(make_image("green", kind="PNG"), "image/jpeg"))[1]).main_colours == (
        "green",
    )


def test_transparent_parts_are_white() -> None:
    assert read_facts(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))).main_colours == ("white",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("left", [0.3, 0.9])
def test_a_truncated_picture_is_unreadable(kind: str, left: float) -> None:
    noise = random.Random(1).randbytes(200 * 200 * 3)
    data = encoded(Image.frombytes("RGB", (200, 200), noise), kind)
    read_facts(data)
    with pytest.raises(UnreadableImage):
        read_facts(data[: int(len(data) * left)])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("data:image/png;base64,@@@@", id="not base64"),
        pytest.param("data:image/png;base64,AAAA", id="not a picture"),
        pytest.param("data:image/png;base64,", id="empty"),
        pytest.param(data_url(b"<html>no picture</html>"), id="a page"),
    ],
)
def test_data_that_is_no_image_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableImage):
        read_facts(decode_data_url(text)[1])


@pytest.mark.parametrize(("size", "readable"), [((1990, 10), True), ((2000, 10), False), ((4, 2000), False)])
def test_an_image_200_times_longer_than_wide_is_rejected(size: tuple[int, int], readable: bool) -> None:
    if readable:
        assert read_facts(make_image(size=size)).width == size[0]
    else:
        with pytest.raises(UnreadableImage, match=r"size=2000x10|size=4x2000"):
            read_facts(make_image(size=size))


@each_case(
    ("width", "height", "count"),
    [
        pytest.param(28, 28, 4, id="never fewer than 4"),
        pytest.param(56, 56, 4, id="2 by 2"),
        pytest.param(640, 427, 23 * 15, id="rounded to 28"),
        pytest.param(512, 512, 18 * 18, id="square"),
        pytest.param(6000, 4000, 43 * 29, id="scaled down to the most"),
        pytest.param(1, 100, 20, id="scaled up to the least, sides rounded up"),
    ],
)
def test_image_tokens_follow_qwens_rule(width: int, height: int, count: int) -> None:
    assert count_qwen_tokens(width, height, 1280) == count


def test_facts_of_several_images_are_combined() -> None:
    red, blue = read_facts(make_image("red", (10, 20))), read_facts(make_image("blue", (30, 40)))
    both = combine_facts([red, blue])
    assert both.main_colours == ("blue", "red")
    assert both.others == ((30, 40),)
    assert both.digest != red.digest
    assert combine_facts([blue, red]).digest != both.digest
    assert combine_facts([red]) is red
