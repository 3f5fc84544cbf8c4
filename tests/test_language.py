"""Which language a text is in."""

from __future__ import annotations

import pytest

from persqa_client.language import is_chinese


@pytest.mark.parametrize("text", ["<mam>在做什么？", "What is 狗?", "㐀", "豈"])
def test_any_character_makes_a_text_chinese(text: str) -> None:
    assert is_chinese(text)


@pytest.mark.parametrize("text", ["", "What is <mam> doing?", "Où est <mam> ?", "？！", "１２"])
def test_other_texts_are_not(text: str) -> None:
    assert not is_chinese(text)
