"""Strings made from regular expressions."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.simulator.constraints import UnmatchablePattern, make_match

NATURAL = "<mam> appears in a bright picture of 640x427 pixels, mostly blue."


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"<mam> is [a-z]{3,8}\.", id="words"),
        pytest.param(r"<mam>[^<>]{200,300}[.!?]", id="longer than the natural answer"),
        pytest.param(r"(?:Yes|No), <mam> [a-z ]+\.", id="branches"),
        pytest.param(r"<mam>是[\u4e00-\u9fff]{4,10}。", id="Chinese"),
        pytest.param(r"\d{4}-\d\d-\d\d", id="digits"),
        pytest.param(r"^<mam>\W.+$", id="anchors"),
        pytest.param(r"\b(?P<a>x+?)[^x\s]", id="lazy, named, a word's edge"),
        pytest.param(r"(?i:MAM)\S{3}", id="flag inside"),
        pytest.param(r"[\s\S]{5}[^\n]", id="anything"),
        pytest.param(r"", id="nothing"),
        pytest.param(r"(?:ab?)*(?:c|)", id="empty branch"),
        pytest.param("[\U0001f600-\U0001f64f]?z", id="beyond the usual characters"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_whole_string_matches(pattern: str, seed: int) -> None:
    assert re.fullmatch(pattern, make_match(pattern, NATURAL, random.Random(seed)))


@given(st.text(alphabet="ab", min_size=1, max_size=6), st.integers(0, 5), st.integers(0, 5), st.integers())
def test_counts_are_kept(word: str, least: int, more: int, seed: int) -> None:
    pattern = f"(?:{word}){{{least},{least + more}}}[a-f]{{{least}}}"
    assert re.fullmatch(pattern, make_match(pattern, NATURAL, random.Random(seed)))


def test_a_matching_natural_answer_is_kept() -> None:
    assert make_match(r"<mam>[\s\S]+", NATURAL, random.Random(0)) == NATURAL


def test_free_places_are_filled_with_the_natural_words() -> None:
    made = make_match(r"<mam> is [a-z ]{10,400}\.", NATURAL, random.Random(0))
    assert "appears in a bright picture" in made


def test_the_same_seed_makes_the_same_string() -> None:
    assert len({make_match(r"[a-z]{20}", "", random.Random(7)) for _ in range(3)}) == 1
    assert make_match(r"[a-z]{20}", "", random.Random(7)) != make_match(r"[a-z]{20}", "", random.Random(8))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        pytest.param(r"[a-z", "Invalid regular expression", id="malformed"),
        pytest.param(r"a\bc", "found no string", id="impossible"),
        pytest.param(r"(?:x(?=y))*", "assert is not supported", id="look-ahead"),
        pytest.param(r"<mam>(?!I).+", "assert_not is not supported", id="negative look-ahead"),
        pytest.param(r"(\w+) \1", "groupref is not supported", id="back reference"),
        pytest.param(r"(a)?(?(1)b|c)", "groupref_exists is not supported", id="conditional"),
        pytest.param(r"(?:[a-z]{9000}){9}", "no more than", id="too long"),
        pytest.param(r"a{99999}", "no more than", id="too often"),
    ],
)
def test_unsupported_patterns_are_rejected(pattern: str, words: str) -> None:
    with pytest.raises(UnmatchablePattern, match=words):
        make_match(pattern, NATURAL, random.Random(0))
