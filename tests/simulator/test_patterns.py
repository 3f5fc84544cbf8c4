"""Strings made from regular expressions."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.questions.constraints import choose_form, sentence_pattern
from persqa_client.questions.prompts import build_prompt
from persqa_client.simulator.chat_requests import parse_chat_request
from persqa_client.simulator.patterns import UnmatchablePattern, make_match
from persqa_client.simulator.vision import ImageFacts
from persqa_client.simulator.wording import write_answer
from tests.support.cases import each_case

FACTS = ImageFacts(640, 427, (("blue", 0.6), ("light grey", 0.3)), 180.0, (0, 2), b"12345678")
NATURAL = "<mam> appears in a bright picture of 640x427 pixels, mostly blue."


@each_case(
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
@each_case("seed", range(5))
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


@each_case("name", ["<mam>", "Charlie", "小满"])
@each_case("question", ["What is {} wearing?", "Where is {}?", "{}穿着什么？", "{}在哪里？"])
@each_case("seed", range(4))
def test_an_answer_that_fits_the_pattern_of_its_prompt_is_kept(name: str, question: str, seed: int) -> None:
    asked = question.format(name)
    system, prompt = build_prompt(asked, name)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    chat = parse_chat_request({"messages": messages})
    natural = write_answer(chat.tag, chat.question, FACTS, seed)
    assert natural.startswith(name)
    assert make_match(sentence_pattern(name, choose_form(asked)), natural, random.Random(seed)) == natural


@pytest.mark.parametrize(
    ("pattern", "made"),
    [
        pytest.param(
            r"<mam>(?: is| has)[\s\S]*[.!?][\"']?", r"<mam> (?:is|has)appears in .+, mostly blue\.", id="a branch"
        ),
        pytest.param(r"<mam>(?: sits| appears)[\s\S]+", re.escape(NATURAL), id="the branch that goes on"),
        pytest.param(
            r"<mam> ?[はが][\s\S]*[。！]", r"<mam> [はが]appears in .+, mostly blue[。！]", id="another script"
        ),
        pytest.param(r"<mam>(?: [a-z]+){2,9}", r"<mam> appears in a bright picture of", id="repeated words"),
    ],
)
def test_only_what_the_pattern_demands_is_added(pattern: str, made: str) -> None:
    for seed in range(5):
        assert re.match(made, make_match(pattern, NATURAL, random.Random(seed)))


@each_case(
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
