"""A text's script is that of most of it, tags and quotations apart."""

from __future__ import annotations

import pytest

from persqa_client.language import is_chinese, script_of, scripts, unquoted


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("What is <mam> doing?", "latin"),
        ("Où est <mam> ?", "latin"),
        ("<mam>在做什么？", "han"),
        ("<mam>的iPhone是什么颜色？", "han"),
        ("What is <小满> doing?", "latin"),
        ("What does “出口在左边请走这边” mean?", "latin"),
        ("What does 福 on the door mean?", "latin"),
        ("Что делает <mam>?", None),
        ("<mam>は何をしていますか", None),
        ("<mam>?", None),
        ("3 + 5", None),
    ],
)
def test_the_script_of_most_of_it(text: str, script: str | None) -> None:
    assert script_of(text) == script
    assert is_chinese(text) is (script == "han")


def test_brands_are_words_but_not_common_ones() -> None:
    assert scripts("穿着Nike的iPhone和blue jeans") == (4, 4, 2, 0)


@pytest.mark.parametrize(
    "text", ['a "b" c', "a “b” c", "a 「b」 c", "a 『b』 c", "a «b» c", "a `b` c", "a 'b' c", "a ‘b’ c"]
)
def test_quotations_are_left_out(text: str) -> None:
    assert unquoted(text) == "a   c"


@pytest.mark.parametrize("text", ["it's Ann's", "the dogs' and cats' food", 'a 12" screen', "<mam>'s and <bo>'s"])
def test_apostrophes_and_inches_quote_nothing(text: str) -> None:
    assert unquoted(text) == text
