"""A text is in the script of most of its letters; tags and quotations do not count."""

from __future__ import annotations

from persqa_client.language import count_scripts, is_chinese, main_script
from tests.support.cases import each_case


@each_case(
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
def test_the_main_script(text: str, script: str | None) -> None:
    assert main_script(text) == script
    assert is_chinese(text) is (script == "han")


def test_brands_are_no_lowercase_words() -> None:
    assert count_scripts("穿着Nike的iPhone和blue jeans") == (4, 4, 2, 0)
