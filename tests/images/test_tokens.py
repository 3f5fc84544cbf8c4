"""Counting the tokens of images by the rules of the model families."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.images.tokens import (
    FAMILIES_BY_VERSION,
    TOKEN_RULES,
    ModelFamily,
    count_image_tokens,
    detect_model_family,
    estimate_image_tokens,
    make_token_counter,
)
from persqa_client.types import EncodedImage
from tests.support.cases import each_case


@each_case(
    ("family", "width", "height", "expected"),
    [
        pytest.param("qwen2.5-vl", 28, 28, 4, id="one token is scaled up to four"),
        pytest.param("qwen2.5-vl", 56, 56, 4, id="four tokens"),
        pytest.param("qwen2.5-vl", 57, 69, 4, id="rounded down to four"),
        pytest.param("qwen2.5-vl", 640, 480, 23 * 17, id="each side rounded to the nearest"),
        pytest.param("qwen2.5-vl", 70, 98, 2 * 4, id="halves rounded to even: 2.5 down, 3.5 up"),
        pytest.param("qwen2.5-vl", 3584, 3584, 16384, id="the largest number"),
        pytest.param("qwen2.5-vl", 3612, 3584, 128 * 127, id="one row more is scaled down"),
        pytest.param("qwen2.5-vl", 6000, 4000, 156 * 104, id="24 megapixels"),
        pytest.param("qwen2.5-vl", 1, 200, 1 * 29, id="one pixel wide"),
        pytest.param("qwen2-vl", 640, 480, 23 * 17, id="Qwen2-VL as 2.5"),
        pytest.param("qwen3-vl", 640, 480, 20 * 15, id="Qwen3-VL has larger tokens"),
        pytest.param("qwen3-vl", 32, 32, 64, id="and a larger minimum"),
        pytest.param("qwen3-vl", 6000, 4000, 156 * 104, id="and the same maximum"),
    ],
)
def test_tokens_are_counted_after_rounding_and_scaling(
    family: ModelFamily, width: int, height: int, expected: int
) -> None:
    assert count_image_tokens(width, height, family) == expected


@given(st.sampled_from(sorted(TOKEN_RULES)), st.integers(30, 6000), st.integers(30, 6000))
def test_counts_are_within_the_limits_of_the_family(family: ModelFamily, width: int, height: int) -> None:
    rule = TOKEN_RULES[family]
    assert rule.min_pixels <= count_image_tokens(width, height, family) * rule.token_side**2 <= rule.max_pixels
    assert count_image_tokens(width, height, family) == count_image_tokens(height, width, family)


@each_case(
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
def test_the_family_is_detected_from_the_model_name(name: str, family: ModelFamily | None) -> None:
    assert detect_model_family(name) == family
    assert set(FAMILIES_BY_VERSION.values()) == set(TOKEN_RULES)


def test_the_counter_uses_the_rule_of_the_model_if_it_is_known() -> None:
    image = EncodedImage(b"", "image/jpeg", 640, 480)
    assert make_token_counter("qwen3-vl")(image) == 20 * 15
    assert make_token_counter(None)(image) == estimate_image_tokens(image)
