"""Texts of known words are not searched again, and the result is the one of a search of the whole text."""

from __future__ import annotations

import pytest

from persqa_client.answers.gibberish import CONSONANTS, CYRILLIC_NOISE, NOISE
from persqa_client.answers.phrases import fold_text, has_hint, list_languages, load_hints, may_have_hint
from persqa_client.answers.residue import HINTED, search_message_words
from persqa_client.quotations import INSCRIPTIONS, may_have_inscription
from persqa_client.word_search import LONGEST_WORD, MOST_WORDS, WordSearch, search_words, split_at_blanks
from tests.support.cases import each_case


def test_a_word_without_a_match_is_searched_once() -> None:
    searched: list[str] = []

    def search(word: str) -> bool:
        searched.append(word)
        return word == "red"

    words = WordSearch(search)
    assert not words.is_in(split_at_blanks("a blue hat"))
    assert not words.is_in(split_at_blanks("a  blue\ncoat"))
    assert words.is_in(split_at_blanks("a red hat"))
    assert words.is_in(("red",))
    assert searched == ["a", "blue", "hat", "coat", "red", "red"]


def test_the_words_that_are_kept_are_limited() -> None:
    searched: list[str] = []
    words = WordSearch(searched.append)
    assert not words.is_in([f"word{number}" for number in range(MOST_WORDS + 1)])
    assert not words.is_in(("word0", f"word{MOST_WORDS}"))
    assert searched.count("word0") == 2
    assert searched.count(f"word{MOST_WORDS}") == 1


def test_texts_without_spaces_are_not_kept() -> None:
    searched: list[str] = []
    words = WordSearch(searched.append)
    for _ in range(2):
        assert not words.is_in(("穿" * LONGEST_WORD, "着" * (LONGEST_WORD + 1)))
    assert [word[0] for word in searched] == ["穿", "着", "着"]


def test_case_is_ignored() -> None:
    assert search_words(r"(?<!\w)says(?!\S)").is_in(("He", "SAYS"))
    assert not search_words(r"(?<!\w)says(?!\S)").is_in(("says,", "essays"))


@each_case("language", sorted(list_languages()))
def test_each_hint_is_found_in_a_text(language: str) -> None:
    for hint in load_hints(language):
        for text in (f"<mam>{hint}x", f"x{hint}", hint.strip(), f"A b {hint.upper()} c.", f"x\n{hint}\ny"):
            assert not has_hint(fold_text(text, language), language) or may_have_hint(text, language), (hint, text)


@each_case(
    "text",
    [
        "<mam> holds a sign that reads The End",
        "The sign READS Stop",
        "<mam> wears a cap labeled Coach.",
        "Press it, it says.",
        "Back soon, reads the note.",
        "<mam>举着牌子写着你好",
        "<mam> steht vor einem Schild: Halt",
        "Der Text：Halt",
        "a shirt printed with Go",
        "the\u00a0text Stop is on it",
        "a cap (saying Go",
    ],
)
def test_no_inscription_is_missed(text: str) -> None:
    assert INSCRIPTIONS.search(text)
    assert may_have_inscription(text)


@pytest.mark.parametrize("text", ["<mam> wears a hat.", "<mam>穿着夹克。", "<mam> носит куртку.", "essays, text."])
def test_ordinary_texts_need_no_search(text: str) -> None:
    assert not may_have_inscription(text)


@pytest.mark.parametrize("text", ["<mam> hdr kln x", "a bc\nhdr, jkl", "Это ъъ и ыва", "<mam> wears.", "hdr@x.org"])
def test_noise_of_a_text_is_that_of_its_words(text: str) -> None:
    found = CONSONANTS.search(text) or CYRILLIC_NOISE.search(text)
    assert NOISE.is_in(split_at_blanks(text)) == (found is not None)


@each_case("hint", [hint for hints, _ in HINTED for hint in hints])
def test_each_hint_of_a_message_is_found(hint: str) -> None:
    for text in (f"x{hint}y", hint, f"<mam> a{hint} b"):
        assert search_message_words("en").is_in(split_at_blanks(text))
