"""Categories, languages and needs, by which questions are chosen.

In every category the tag names one subject: a person, an animal, an object, a place, or one person of a group.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from persqa_client.language import LANGUAGE_SYNONYMS, LANGUAGES
from persqa_client.suggestions import find_similar_name

CATEGORIES = ("human", "animal", "object", "scene", "group")

# What a question can need, and what the picture must show for it.
NEEDS: Mapping[str, str] = {
    "face": "the face, turned at least half to the camera",
    "eyes": "open eyes, large enough to see their colour",
    "hair": "the hair of the head",
    "coat": "an animal's fur or feathers",
    "hands": "at least one hand",
    "whole_body": "the whole subject from top to bottom, neither cut off nor covered",
    "clothes": "clothes, and enough of them to describe",
    "colour": "colours: not a black-and-white or tinted picture",
    "text": "text that can be read",
    "background": "surroundings: not a cut-out or a plain backdrop",
    "outdoors": "an outdoor scene",
    "building": "a building from outside",
    "one_subject": "a single main subject, which the picture is about",
    "several_subjects": "other people beside the main character",
}

# Synonyms in lower case.
CATEGORY_SYNONYMS = {
    "human": ("person", "人物"),
    "animal": ("pet", "动物", "宠物"),
    "object": ("thing", "物体", "物品"),
    "scene": ("place", "building", "场景"),
    "group": ("people", "多人"),
}
NEED_SYNONYMS = {"colour": ("color", "colours")}
REGION = re.compile(r"[-_.@ ].*", re.DOTALL)


def parse_category(text: str) -> str:
    """``Person`` -> ``human``. Raises ValueError for an unknown category."""
    word = text.strip().casefold()
    return match_name(
        word.removesuffix("s") if word.isascii() else word, text, "category", CATEGORIES, CATEGORY_SYNONYMS
    )


def parse_language(text: str) -> str:
    """``zh-CN`` or ``中文`` -> ``zh``. Raises ValueError for a language without built-in questions."""
    return match_name(REGION.sub("", text.strip().casefold()), text, "language", LANGUAGES, LANGUAGE_SYNONYMS)


def parse_need(text: str) -> str:
    """``whole body`` -> ``whole_body``. Raises ValueError for an unknown need."""
    return match_name(re.sub(r"[-\s]+", "_", text.strip().casefold()), text, "need", NEEDS, NEED_SYNONYMS)


def match_name(word: str, text: str, noun: str, names: Collection[str], synonyms: Mapping[str, Collection[str]]) -> str:
    if word in names:
        return word
    for name, others in synonyms.items():
        if word in others:
            return name
    *first, last = names
    similar = find_similar_name(word, [*names, *(other for others in synonyms.values() for other in others)])
    meant = "" if similar is None else f" (did you mean {similar}?)"
    raise ValueError(f"{text!r} is not a known {noun}{meant}; use {', '.join(first)} or {last}")
