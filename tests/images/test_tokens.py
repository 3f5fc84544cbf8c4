"""How many tokens a picture takes: values by the rule of the families' image processors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.images.tokens import FAMILIES, RULES, ModelFamily, count_image_tokens, detect_model_family


@pytest.mark.parametrize(
    ("family", "width", "height", "expected"),
    [
        pytest.param("qwen2.5-vl", 28, 28, 4, id="one patch is scaled up to four"),
        pytest.param("qwen2.5-vl", 56, 56, 4, id="four patches"),
        pytest.param("qwen2.5-vl", 57, 69, 4, id="rounded down to four"),
        pytest.param("qwen2.5-vl", 640, 480, 23 * 17, id="each side rounded to the nearest"),
        pytest.param("qwen2.5-vl", 70, 98, 2 * 4, id="halves rounded to even: 2.5 down, 3.5 up"),
        pytest.param("qwen2.5-vl", 3584, 3584, 16384, id="the most"),
        pytest.param("qwen2.5-vl", 3612, 3584, 128 * 127, id="a row more than the most is scaled down"),
        pytest.param("qwen2.5-vl", 6000, 4000, 156 * 104, id="24 megapixels"),
        pytest.param("qwen2.5-vl", 1, 200, 1 * 29, id="a thread"),
        pytest.param("qwen2-vl", 640, 480, 23 * 17, id="Qwen2-VL as 2.5"),
        pytest.param("qwen3-vl", 640, 480, 20 * 15, id="Qwen3-VL has larger patches"),
        pytest.param("qwen3-vl", 32, 32, 64, id="and a larger least size"),
        pytest.param("qwen3-vl", 6000, 4000, 156 * 104, id="and as many at most"),
    ],
)
def test_tokens_are_patches_after_rounding_and_scaling(
    family: ModelFamily, width: int, height: int, expected: int
) -> None:
    assert count_image_tokens(width, height, family) == expected


def test_a_server_may_have_other_limits() -> None:
    assert count_image_tokens(6000, 4000, "qwen2.5-vl", max_pixels=1024 * 28 * 28) == 39 * 26
    assert count_image_tokens(28, 28, "qwen2.5-vl", min_pixels=256 * 28 * 28) == 256


@pytest.mark.parametrize(("width", "height"), [(0, 5), (201, 1), (1, 201), (5, -1)])
def test_sizes_that_processors_refuse_have_no_count(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"{width} x {height}"):
        count_image_tokens(width, height, "qwen3-vl")


@given(st.sampled_from(sorted(RULES)), st.integers(30, 6000), st.integers(30, 6000))
def test_no_picture_of_usual_shape_takes_more_or_fewer_than_the_family_allows(
    family: ModelFamily, width: int, height: int
) -> None:
    rule = RULES[family]
    assert rule.min_pixels <= count_image_tokens(width, height, family) * rule.factor**2 <= rule.max_pixels
    assert count_image_tokens(width, height, family) == count_image_tokens(height, width, family)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2.5-vl"),
        ("qwen/qwen2.5-vl-72b-instruct:free", "qwen2.5-vl"),
        ("/models/Qwen2_5-VL-7B-Instruct-AWQ", "qwen2.5-vl"),
        ("Qwen/Qwen2-VL-7B-Instruct", "qwen2-vl"),
        ("qwen3-vl-plus", "qwen3-vl"),
        ("Qwen3-VL-30B-A3B-Thinking", "qwen3-vl"),
        ("my_qwen3_vl", "qwen3-vl"),
        ("vidore/colqwen2-v1.0", None),
        ("Qwen/Qwen2.5-7B-Instruct", None),
        ("Qwen/Qwen-VL-Chat", None),
        ("qwen-vl-max", None),
        ("Qwen2.5-VLA", None),
        ("gpt-4o", None),
        ("", None),
    ],
)
def test_a_served_name_tells_the_family(name: str, family: ModelFamily | None) -> None:
    assert detect_model_family(name) == family
    assert set(FAMILIES.values()) == set(RULES)
