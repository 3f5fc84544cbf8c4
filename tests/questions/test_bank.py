"""The built-in banks, question by question, and what a run draws from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from persqa_client.language import LANGUAGES
from persqa_client.questions.bank import PAIRS, Bank, Question, load_builtin_bank, normalise_words
from persqa_client.questions.categories import CATEGORIES, NEEDS
from persqa_client.questions.constraints import choose_form, sentence_pattern
from persqa_client.questions.prompts import build_prompt
from tests.support.cases import each_case

FOLDER = Path(str(resources.files("persqa_client.questions").joinpath("banks")))
NOT_OPEN = re.compile(r"(?:Is|Are|Am|Was|Were|Do|Does|Did|Has|Have|Had|Can|Could|Will|Would|Should|May|Might|Must)\b")
NOT_OPEN_CHINESE = re.compile("吗|呢？|是不是|有没有|是否|还是|能否|会不会")
each_bank = each_case(("category", "language"), PAIRS)


def raw_lines(category: str, language: str) -> list[str]:
    text = (FOLDER / f"{category}.{language}.jsonl").read_bytes().decode()
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def test_each_category_and_language_has_one_file() -> None:
    assert {path.name for path in FOLDER.glob("*.jsonl")} == {f"{one}.{other}.jsonl" for one, other in PAIRS}


@each_bank
def test_each_question_has_its_fields_in_one_form(category: str, language: str) -> None:
    for line in raw_lines(category, language):
        item = json.loads(line)
        assert list(item) in (["id", "text", "needs"], ["id", "text", "needs", "sensitive"])
        assert item.get("sensitive", True) is True
        assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", item["id"])
        assert len(set(item["needs"])) == len(item["needs"])
        assert set(item["needs"]) <= NEEDS.keys()
        assert json.dumps(item, ensure_ascii=False) == line


@each_bank
def test_each_bank_has_enough_different_questions(category: str, language: str) -> None:
    bank = load_builtin_bank(category, language)
    assert len(bank) >= 24
    assert sum(not item.sensitive for item in bank) >= 20
    assert len({item.id for item in bank}) == len(bank)
    assert len({normalise_words(item.text) for item in bank}) == len(bank)
    assert {(item.category, item.language) for item in bank} == {(category, language)}


@pytest.mark.parametrize("category", CATEGORIES)
def test_both_languages_have_the_same_questions(category: str) -> None:
    english, chinese = ([(q.id, q.needs, q.sensitive) for q in load_builtin_bank(category, name)] for name in LANGUAGES)
    assert english == chinese


@pytest.mark.parametrize("category", CATEGORIES)
def test_english_questions_are_open_and_plainly_written(category: str) -> None:
    for item in load_builtin_bank(category, "en"):
        assert re.fullmatch(r"[A-Z][A-Za-z ,'{}-]+\?", item.text), item.text
        assert "  " not in item.text
        assert item.text.count("{tag}") == 1, item.text
        assert re.search(r" \{tag\}(?:'s|[ ,?])", item.text), item.text
        assert not NOT_OPEN.match(item.text), item.text


@pytest.mark.parametrize("category", CATEGORIES)
def test_chinese_questions_are_open_and_wholly_chinese(category: str) -> None:
    for item in load_builtin_bank(category, "zh"):
        assert item.text.count("{tag}") == 1, item.text
        assert re.fullmatch(r"[\u4e00-\u9fff，、？。]+", item.text.replace("{tag}", "")), item.text
        assert item.text.endswith(("？", "？没有的话也请说明。", "？没有人的话也请说明。")) or re.search(
            r"？没[戴拿](?:东西)?的话也请说明。$", item.text
        ), item.text
        assert not NOT_OPEN_CHINESE.search(item.text), item.text


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_question_says_if_any_in_both_languages_or_in_neither(category: str) -> None:
    for english, chinese in zip(load_builtin_bank(category, "en"), load_builtin_bank(category, "zh"), strict=True):
        assert bool(re.search(r"if any", english.text)) == ("的话" in chinese.text), english.id


@each_bank
@pytest.mark.parametrize("tag", ["<mam>", "<小满>"])
def test_each_question_makes_a_prompt_and_a_pattern(category: str, language: str, tag: str) -> None:
    for item in load_builtin_bank(category, language):
        question = item.text.replace("{tag}", tag)
        _, prompt = build_prompt(question, tag)
        assert question in prompt
        assert not re.search(r"[{}]", prompt)
        answer = f"{tag} is here." if language == "en" else f"{tag}在这里。"
        assert re.fullmatch(sentence_pattern(tag, choose_form(question)), answer)


def test_each_need_is_used() -> None:
    assert {need for pair in PAIRS for item in load_builtin_bank(*pair) for need in item.needs} == NEEDS.keys()


@pytest.mark.parametrize("category", CATEGORIES)
def test_only_questions_about_groups_need_several_subjects(category: str) -> None:
    needy = [item for item in load_builtin_bank(category, "en") if "several_subjects" in item.needs]
    assert len(needy) == (len(load_builtin_bank("group", "en")) if category == "group" else 0)


SENSITIVE = re.compile(r"\b(?:old|age|skin|complexion|build|tall|weigh\w*|heavy|gender|ethnic\w*|facial)\b")


@pytest.mark.parametrize("category", ["human", "group"])
def test_questions_about_body_and_age_are_sensitive(category: str) -> None:
    for item in load_builtin_bank(category, "en"):
        assert bool(SENSITIVE.search(item.text)) is item.sensitive, item.id


@each_bank
def test_colours_need_a_picture_in_colour(category: str, language: str) -> None:
    for item in load_builtin_bank(category, language):
        asks = re.search(r"colour|complexion|颜色|肤色", item.text)
        assert bool(asks) is ("colour" in item.needs), item.id


def own(id: str, category: str | None = None, language: str | None = "en", **more: object) -> Question:
    return Question(id, f"What about {id} and {{tag}}?", category, language, **more)  # type: ignore[arg-type]


def test_a_run_has_the_questions_of_all_categories_and_languages_but_no_sensitive_ones() -> None:
    bank = Bank.build("animal")
    assert bank.category == "animal"
    assert bank.languages == LANGUAGES
    for pair in PAIRS:
        assert bank.questions(*pair) == tuple(item for item in load_builtin_bank(*pair) if not item.sensitive)


def test_sensitive_questions_are_included_on_request() -> None:
    assert Bank.build("human", sensitive=True).questions("human", "zh") == load_builtin_bank("human", "zh")


def test_questions_that_need_what_is_excluded_are_left_out() -> None:
    bank = Bank.build("human", without=frozenset({"face", "hair"}))
    questions = bank.questions("human", "en")
    assert questions
    assert not any(item.needs & {"face", "hair"} for item in questions)
    assert {item.id for item in Bank.build("human").questions("human", "en")} - {item.id for item in questions} == {
        item.id for item in load_builtin_bank("human", "en") if item.needs & {"face", "hair"} and not item.sensitive
    }


def test_a_category_may_have_no_questions_left() -> None:
    assert Bank.build("human", without=frozenset({"several_subjects"})).questions("group", "en") == ()


def test_own_questions_replace_the_built_in_ones() -> None:
    bank = Bank.build((own("a"), own("b", "human"), own("c", "animal", "zh"), own("d", language=None)))
    assert bank.category is None
    assert [item.id for item in bank.questions("human", "en")] == ["a", "b", "d"]
    assert [item.id for item in bank.questions("scene", "en")] == ["a", "d"]
    assert [item.id for item in bank.questions("animal", "zh")] == ["c", "d"]
    assert (bank.default_category("en"), bank.default_category("zh")) == ("human", "human")


def test_own_questions_need_not_be_for_every_category_and_language() -> None:
    bank = Bank.build((own("a", "human"), own("b", "human"), own("c", "human", sensitive=True)))
    assert bank.questions("animal", "en") == ()
    assert bank.questions("human", "zh") == ()
    assert bank.languages == ("en",)
    assert len(bank.questions("human", "en")) == 2


def test_own_questions_are_filtered_in_the_same_way() -> None:
    mine = (own("a", needs=frozenset({"face"})), own("b", sensitive=True))
    assert Bank.build(mine, without=frozenset({"face"})).questions("human", "en") == ()
    assert len(Bank.build(mine, sensitive=True).questions("human", "en")) == 2


def test_the_digest_depends_on_the_questions_and_not_on_their_order() -> None:
    a, b = own("a"), own("b", "human")
    digest = Bank.build((a, b)).digest
    assert re.fullmatch("[0-9a-f]{16}", digest)
    assert Bank.build((b, a)).digest == digest
    assert Bank.build((a, replace(b, text="Who is {tag}?"))).digest != digest
    assert Bank.build((a,)).digest != digest
    assert Bank.build("human").digest == Bank.build("animal").digest != Bank.build("human", sensitive=True).digest
