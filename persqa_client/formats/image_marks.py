"""``<image>`` marks: places of pictures in a text, one for each picture, before the question."""

from __future__ import annotations

import re

IMAGE_MARK = "<image>"
# At the beginning of a text, and of a reversed text. One expression for the whole text would take quadratic time.
MARKS = re.compile(r"(?:\s*<image>)*\s*")
REVERSED_MARKS = re.compile(r"(?:\s*>egami<)*\s*")


def add_image_marks(question: str, count: int) -> str:
    return f"{IMAGE_MARK}\n" * count + question


def split_image_marks(text: str) -> tuple[int, str]:
    """The number of marks before and after the text, and the text without them."""
    before = match_marks(MARKS, text)
    text = text[len(before) :]
    after = match_marks(REVERSED_MARKS, text[::-1])[::-1]
    return (before + after).count(IMAGE_MARK), text[: len(text) - len(after)]


def match_marks(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return found[0] if found is not None else ""


def remove_own_marks(question: str, count: int) -> str:
    """Removes marks that stand for the pictures of the row. Others are text that the user meant as text."""
    found, text = split_image_marks(question)
    return text if found and found == count and text else question


def read_marked_question(text: str, count: int) -> str:
    """Raises ValueError if the number of marks is not that of the pictures, as the consumers do."""
    if text.count(IMAGE_MARK) != count:
        raise ValueError(f"{text.count(IMAGE_MARK)} {IMAGE_MARK} marks and {count} pictures")
    return split_image_marks(text)[1]
