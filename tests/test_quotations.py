"""Quotations in answers."""

from __future__ import annotations

import pytest

from persqa_client.quotations import remove_quotations


@pytest.mark.parametrize(
    "text", ['a "b" c', "a “b” c", "a 「b」 c", "a 『b』 c", "a «b» c", "a `b` c", "a 'b' c", "a ‘b’ c"]
)
def test_quotations_are_removed(text: str) -> None:
    assert remove_quotations(text) == "a   c"


@pytest.mark.parametrize("text", ["it's Ann's", "the dogs' and cats' food", 'a 12" screen', "<mam>'s and <bo>'s"])
def test_apostrophes_and_inches_are_no_quotations(text: str) -> None:
    assert remove_quotations(text) == text
