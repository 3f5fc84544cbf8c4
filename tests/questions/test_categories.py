"""Categories, languages and needs as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from persqa_client.language import LANGUAGES
from persqa_client.questions.categories import CATEGORIES, NEEDS, parse_category, parse_language, parse_need
from tests.support.cases import each_case

CATEGORY = {
    **{name: name for name in CATEGORIES},
    " Human ": "human", "PERSON": "human", "persons": "human", "人物": "human",
    "pet": "animal", "Pets": "animal", "animals": "animal", "宠物": "animal",
    "thing": "object", "objects": "object", "物体": "object",
    "place": "scene", "Building": "scene", "场景": "scene",
    "people": "group", "groups": "group", "多人": "group",
}  # fmt: skip
LANGUAGE = {
    **{name: name for name in LANGUAGES},
    "EN": "en", "en-US": "en", "en_GB": "en", "en_US.UTF-8": "en", "English": "en", "英文": "en",
    " zh ": "zh", "zh-CN": "zh", "zh_Hans_CN": "zh", "Chinese": "zh", "Chinese (simplified)": "zh", "中文": "zh",
}  # fmt: skip
NEED = {**{name: name for name in NEEDS}, "Whole body": "whole_body", "one-subject": "one_subject", "color": "colour"}


@each_case(("text", "name"), CATEGORY.items())
def test_categories(text: str, name: str) -> None:
    assert parse_category(text) == name


@each_case(("text", "name"), LANGUAGE.items())
def test_languages(text: str, name: str) -> None:
    assert parse_language(text) == name


@each_case(("text", "name"), NEED.items())
def test_needs(text: str, name: str) -> None:
    assert parse_need(text) == name


@each_case(
    ("parse", "text", "message"),
    [
        (parse_category, "car", "'car' is not a known category; use human, animal, object, scene or group"),
        (parse_category, "", "'' is not a known category; use human, animal, object, scene or group"),
        (parse_category, "s", "'s' is not a known category; use human, animal, object, scene or group"),
        (parse_language, "de-AT", "'de-AT' is not a known language; use en or zh"),
        (parse_language, "", "'' is not a known language; use en or zh"),
        (parse_language, "-en", "'-en' is not a known language; use en or zh"),
        (parse_need, "wings", f"'wings' is not a known need; use {', '.join(list(NEEDS)[:-1])} or several_subjects"),
    ],
)
def test_errors_list_the_known_words(parse: Callable[[str], str], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^'") as caught:
        parse(text)
    assert str(caught.value) == message
