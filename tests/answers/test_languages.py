"""Each language whose answers are checked has all that the README asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import persqa_client.answers
from persqa_client.answers.answer_language import NAMES
from persqa_client.answers.non_answers import check_image_is_seen, check_no_refusal, check_not_about_task
from persqa_client.answers.phrases import languages_to_check, list_languages, load_hints, load_table, phrase_pattern
from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import SCRIPT_LANGUAGES, detect_language
from tests.answers.helpers import make_task
from tests.support.cases import each_case

README = Path(persqa_client.answers.__file__).with_name("README.md").read_text(encoding="utf-8")
EXAMPLES = Path(__file__).parent / "tables" / "languages"
PHRASINGS = EXAMPLES.with_name("phrasings.jsonl")
KINDS = ("refusal", "no_image", "about_the_task")
CHECKS = (check_image_is_seen, check_no_refusal, check_not_about_task)

each_language = each_case("language", sorted(list_languages()))


def test_tables_examples_and_readme_have_the_same_languages() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.jsonl")} == list_languages()
    assert set(re.findall(r"\[(\w+)\.toml\]\(languages/", README)) == list_languages()
    assert set(NAMES) == list_languages()


@each_language
def test_a_table_has_every_kind(language: str) -> None:
    assert load_hints(language)
    for kind in KINDS:
        assert any(load_table(language)[kind].get(place) for place in ("anywhere", "sentence", "opening")), kind
        for place in ("anywhere", "sentence", "opening"):
            phrase_pattern(language, kind, place)
    assert load_table(language)["writing"]["words"]
    assert load_table(language)["polite"]["opening"]


@each_language
def test_words_of_writing_match_within_a_word(language: str) -> None:
    assert not re.search(r"\s|\\[sWDS]|\[\^|(?<!\\)\.", phrase_pattern(language, "writing", "words").pattern)


@each_language
def test_a_language_is_detected(language: str) -> None:
    assert language in FUNCTION_WORDS or language in SCRIPT_LANGUAGES.values() or language == "zh"


@each_language
def test_a_language_has_enough_examples(language: str) -> None:
    cases = [json.loads(line) for line in (EXAMPLES / f"{language}.jsonl").read_text("utf-8").splitlines()]
    assert sum(case["want"] == "bad" for case in cases) >= 20
    assert sum(case["want"] == "good" for case in cases) >= 20
    assert {case["lang"] for case in cases} == {language}


@each_case("path", [*sorted(EXAMPLES.glob("*.jsonl")), PHRASINGS], ids=lambda path: path.stem)
def test_refusals_and_honest_answers_are_told_apart(path: Path) -> None:
    wrong = []
    for line in path.read_text("utf-8").splitlines():
        case = json.loads(line)
        task = make_task(case["question"], f"<{case.get('tag', 'mam')}>")
        found = [problem.code for check in CHECKS if (problem := check(case["raw"], task))]
        if bool(found) != (case["want"] == "bad"):
            wrong.append((case["raw"], found))
    assert wrong == []


@each_case(
    ("question", "text", "languages"),
    [
        ("What is <mam> doing?", "<mam> runs.", ("en",)),
        ("<mam>在做什么？", "<mam>在跑。", ("zh",)),
        ("<mam>在做什么？", "I'm sorry.", ("zh", "en")),
        ("<mam>の服装は？", "<mam>は赤い服です。", ("ja",)),
        ("<mam>の服装は？", "抱歉，我不能回答。", ("ja", "zh")),
        ("¿Qué hace <mam>?", "<mam> corre.", ("es", "en")),
        ("Wat doet <mam>?", "<mam> rent.", ("en",)),
        ("<mam> क्या कर रहा है?", "<mam> दौड़ रहा है।", ()),
    ],
)
def test_the_languages_whose_phrases_are_looked_for(question: str, text: str, languages: tuple[str, ...]) -> None:
    assert languages_to_check(question, text) == languages


@each_case(
    ("question", "language"),
    [
        ("Who is <mam>?", "en"),
        ("Is <mam> happy?", "en"),
        ("<mam>是谁？", "zh"),
        ("<mam>怎麼了？", "zh"),
        ("<mam>在優の良品买了什么？", "zh"),
        ("<mam>の職業は？", "ja"),
        ("<mam>は誰？", "ja"),
        ("<mam>는 누구?", "ko"),
        ("Кто <mam>?", "ru"),
        ("Що робить <mam>? Його одяг?", "uk"),
        ("من هو <mam>؟", "ar"),
        ("<mam> چه می‌پوشد؟", "fa"),
        ("¿Quién es <mam>?", "es"),
        ("Qui est <mam> ?", "fr"),
        ("Wer ist <mam>?", "de"),
        ("Quem é <mam>?", "pt"),
        ("Chi è <mam>?", "it"),
        ("Wat draagt <mam>?", "nl"),
        ("<mam> đang làm gì?", "vi"),
        ("Co robi <mam>?", "pl"),
        ("<mam> ne giyiyor?", "tr"),
        ("<mam> क्या पहने हुए है?", "hi"),
        ("<mam>กำลังทำอะไร", "th"),
        ("What does “出口在左边请走这边” next to <mam> mean?", "en"),
        ("What is <小满> doing?", "en"),
        ("<mam>?", None),
    ],
)
def test_the_language_of_a_question(question: str, language: str | None) -> None:
    assert detect_language(question) == language
