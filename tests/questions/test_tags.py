"""Which names can be tags, and the risks of those that can."""

from __future__ import annotations

import pytest

from persqa_client.questions.tags import (
    can_repair_bare_name,
    find_tag_risks,
    is_known_word,
    load_known_words,
    parse_tag,
)
from tests.support.cases import each_case


@each_case("name", ["mam", "<mam>", " mam ", "小满", "bo-2", "a.b", "x", "tokens", "token_a"])
def test_names_that_can_be_tags(name: str) -> None:
    assert parse_tag(name) == f"<{name.strip().strip('<>')}>"


@each_case("name", ["", "<>", "<mam", "mam>", "a b", "a<b", "-a", "a/b", "x" * 41, "a\nb", "a|b", "a{b"])
def test_names_that_would_break_a_pattern_can_not_be_tags(name: str) -> None:
    with pytest.raises(ValueError, match="up to 40 letters"):
        parse_tag(name)


@each_case(
    "name",
    [
        "image",
        "IMAGE",
        "im_end",
        "sks",
        "bos",
        "eos",
        "token",
        "token1",
        "token_12",
        "Reserved7",
        "extra_id_0",
        "think",
    ],
)
def test_names_that_models_use_can_not_be_tags(name: str) -> None:
    with pytest.raises(ValueError, match="models and training layouts"):
        parse_tag(name)


@pytest.mark.parametrize("name", ["mam", "<mam>", "thao", "mam-li", "yuheng", "bo", "bq", "li", "jo"])
def test_a_good_tag_has_no_risks(name: str) -> None:
    assert find_tag_risks(name) == ()


@each_case(
    ("name", "reason"),
    [
        ("b", "a single letter"),
        ("it", "an English word"),
        ("so", "an English word"),
        ("us", "an English word"),
        ("am", "an English word"),
        ("go", "an English word"),
        ("ok", "an English word"),
        ("ox", "an English word"),
        ("hi", "an English word"),
        ("if", "an English word"),
        ("Mam", "capital letters"),
        ("小满", "outside ASCII"),
        ("bull_dog", "underscore"),
        ("mr.krab", "dot"),
        ("mam2", "digit"),
        ("xyesx", "contains yes"),
        ("nova", "contains no"),
        ("bear", "an English word"),
        ("thomas", "a given name"),
        ("frodo", "a famous character's name"),
    ],
)
def test_each_risk_is_named(name: str, reason: str) -> None:
    [risk] = find_tag_risks(name)
    assert reason in risk


def test_a_tag_may_have_several_risks() -> None:
    assert len(find_tag_risks("Dr.No")) == 3
    assert "a given name and a famous character's name" in find_tag_risks("mario")[0]


@each_case("name", ["bear", "Bears", "red", "rose", "bond", "hats"])
def test_words_are_not_repaired(name: str) -> None:
    assert is_known_word(name)
    assert not can_repair_bare_name(f"<{name}>")


@pytest.mark.parametrize("name", ["Thomas", "elsa", "thor"])
def test_known_names_are_repaired(name: str) -> None:
    assert is_known_word(name)
    assert can_repair_bare_name(f"<{name}>")


@each_case("name", ["mam", "zoë", "барсик", "thao", "Mam", "bull_dog", "butin"])
def test_other_names_are_repaired(name: str) -> None:
    assert not is_known_word(name)
    assert can_repair_bare_name(f"<{name}>")


@pytest.mark.parametrize("name", ["bq", "x", "小明", "欧阳娜娜"])
def test_short_and_chinese_names_are_not_repaired(name: str) -> None:
    assert not is_known_word(name)
    assert not can_repair_bare_name(f"<{name}>")


def test_the_lists_of_words_are_in_lower_case() -> None:
    kinds = load_known_words()
    assert {kind: len(words) >= 60 for kind, words in kinds.items()} == dict.fromkeys(
        ("words", "names", "characters"), True
    )
    assert len(kinds["words"]) > 1000
    assert all(word.isascii() and word.isalpha() and word.islower() for words in kinds.values() for word in words)
