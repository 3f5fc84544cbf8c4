"""What questions are chosen by: the subject's category, the language, and what a picture has to show. Pure.

In every category the tag names one subject: a person, an animal, a thing, a place, or one person among several.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

CATEGORIES = ("human", "animal", "object", "scene", "group")
LANGUAGES = ("en", "zh")

NEEDS: Mapping[str, str] = {
    "face": "the face, turned at least half to the camera",
    "eyes": "open eyes, large enough to tell their colour",
    "hair": "hair of the head",
    "coat": "an animal's fur or feathers",
    "hands": "at least one hand",
    "whole_body": "the whole subject, from top to bottom, neither cut off nor covered",
    "clothes": "clothes, and enough of them to describe",
    "colour": "colours: not a black-and-white or tinted picture",
    "text": "writing that can be read",
    "background": "surroundings: not a cut-out or a plain backdrop",
    "outdoors": "the open air",
    "building": "a building, seen from outside",
    "one_subject": "a single main subject, which the picture is about",
    "several_subjects": "further people beside the one who bears the tag",
}
"""What a question can presuppose, and what that means for the picture."""

CATEGORY_NAMES = {
    "human": ("person", "人物"),
    "animal": ("pet", "动物", "宠物"),
    "object": ("thing", "物体", "物品"),
    "scene": ("place", "building", "场景"),
    "group": ("people", "多人"),
}
LANGUAGE_NAMES = {
    "en": ("eng", "english", "英文", "英语"),
    "zh": ("zho", "cn", "chinese", "mandarin", "中文", "汉语", "简体中文"),
}
"""What else people write; in lower case."""
REGION = re.compile(r"[-_.@ ].*", re.DOTALL)


def parse_category(text: str) -> str:
    """``Person`` -> ``human``. Raises ValueError with the reason where no category is meant."""
    word = plain(text)
    return known(word.removesuffix("s") if word.isascii() else word, text, "category", CATEGORIES, CATEGORY_NAMES)


def parse_language(text: str) -> str:
    """``zh-CN`` or ``中文`` -> ``zh``. Raises ValueError with the reason where no language of the banks is meant."""
    return known(REGION.sub("", plain(text)), text, "language", LANGUAGES, LANGUAGE_NAMES)


def parse_need(text: str) -> str:
    """``whole body`` -> ``whole_body``. Raises ValueError with the reason where it is not one of ``NEEDS``."""
    return known(re.sub(r"[-\s]+", "_", plain(text)), text, "need", tuple(NEEDS), {"colour": ("color", "colours")})


def plain(text: str) -> str:
    return text.strip().casefold()


def known(
    word: str, text: str, noun: str, names: Collection[str], others: Mapping[str, Collection[str]] | None = None
) -> str:
    if word in names:
        return word
    for name, synonyms in (others or {}).items():
        if word in synonyms:
            return name
    raise ValueError(f"{text!r} is no known {noun}; use {listed(names)}")


def listed(names: Collection[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
