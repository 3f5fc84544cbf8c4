"""Quotations in answers."""

from __future__ import annotations

import pytest

from persqa_client.quotations import is_about_code, remove_quotations
from tests.support.cases import each_case


@each_case(
    "text",
    [
        'a "b" c',
        "a “b” c",
        "a 「b」 c",
        "a 『b』 c",
        "a «b» c",
        "a `b` c",
        "a 'b' c",
        "a ‘b’ c",
        "a „b“ c",
        "a ‹b› c",
        "a 《b》 c",
    ],
)
def test_quotations_are_removed(text: str) -> None:
    assert remove_quotations(text) == "a   c"


@pytest.mark.parametrize("text", ["it's Ann's", "the dogs' and cats' food", 'a 12" screen', "<mam>'s and <bo>'s"])
def test_apostrophes_and_inches_are_no_quotations(text: str) -> None:
    assert remove_quotations(text) == text


@each_case(
    ("text", "rest"),
    [
        ("A sign that reads Come in. It is red.", "A sign that  . It is red."),
        ("A note that says: Come. Go home.", "A note that  "),
        ("A wall with the letters A B C.", "A wall with the  ."),
        ("A box. Press the button, it says.", "A box.  ."),
        ("She sits. Back soon, says the note on the door.", "She sits.  ."),
        ("牌子上写着请勿入内，谢谢。他站着。", "牌子上 。他站着。"),
        ("对方问：你来不来？", "对方 "),
        ("窓にOPENと書かれています。", "窓に と書かれています。"),
        ("На двери написано: Закрыто.", "На двери  "),
        ("El cartel dice: No pasar.", "El  "),
    ],
)
def test_words_written_on_things_are_removed(text: str, rest: str) -> None:
    assert remove_quotations(text) == rest


@pytest.mark.parametrize(
    "text",
    [
        "<mam> reads a book.",
        "<mam> is reading a map.",
        "It was written by a child.",
        "Note: this is short.",
        "问题：什么？",
    ],
)
def test_reading_and_remarks_are_no_inscriptions(text: str) -> None:
    assert remove_quotations(text) == text


def test_answers_about_code_and_keys() -> None:
    assert is_about_code("<mam> presses the <Enter> key.")
    assert is_about_code("<mam>按下了<Ctrl>键。")
    assert not is_about_code("<mam> hugs <bo> in the park.")
