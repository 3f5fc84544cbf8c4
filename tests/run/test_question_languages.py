"""The simulator answers in the language of the question, about any tag, also under the patterns of all scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.language import SCRIPT_LANGUAGES, detect_language
from persqa_client.simulator.server import Simulator
from persqa_client.simulator.wording import OTHER_SENTENCES
from persqa_client.types import Strategy
from tests.support.cases import each_case

QUESTIONS = {
    "ar": "ماذا يرتدي {tag} في هذه الصورة؟",
    "be": "Куды пайшоў {tag} на здымку?",
    "bn": "{tag} কী পরেছে?",
    "cs": "Co má {tag} na sobě a kde je?",
    "da": "Hvad har {tag} på, og hvor er det?",
    "de": "Was trägt {tag} auf diesem Bild?",
    "el": "Τι φοράει {tag};",
    "en": "What is {tag} wearing?",
    "es": "¿Qué lleva {tag} en la foto?",
    "fa": "{tag} در این تصویر چه پوشیده است؟",
    "fi": "Mitä {tag} tekee ja missä se on?",
    "fr": "Que porte {tag} sur la photo ?",
    "he": "מה לובש {tag}?",
    "hi": "{tag} ने क्या पहना है?",
    "hu": "Mit visel {tag} és hol van ez?",
    "id": "Apa yang dipakai oleh {tag} dan di mana ini?",
    "it": "Che cosa indossa {tag} nella foto e dove si trova?",
    "ja": "{tag}は何を着ていますか？",
    "ko": "{tag}은 무엇을 입고 있나요?",
    "nl": "Wat draagt {tag} op de foto en waar is het?",
    "pl": "Co nosi {tag} i gdzie jest to zdjęcie?",
    "pt": "O que {tag} está a vestir na foto?",
    "ro": "Ce poartă {tag} și unde este în imagine?",
    "ru": "Что носит {tag} на этом снимке?",
    "sv": "Vad har {tag} på sig och var är det?",
    "ta": "{tag} என்ன அணிந்துள்ளது?",
    "th": "{tag}ใส่เสื้ออะไร",
    "tr": "{tag} ne giyiyor ve bu resimde nerede?",
    "uk": "Що носить {tag} на цій світлині?",
    "ur": "{tag} نے اس تصویر میں کیا پہنا ہے؟",
    "vi": "{tag} đang mặc gì trong bức ảnh này?",
    "zh": "{tag}穿着什么？",
}


@pytest.mark.parametrize("strategy", ["constrain", "direct", "prefill", "surrogate"])
@pytest.mark.parametrize("tag", ["小猫", "mam", "кот"])
def test_each_language_gets_an_answer_in_it(tag: str, strategy: Strategy, tmp_path: Path, simulator: Simulator) -> None:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    rows = [{"image": str(tmp_path / "red.png"), "question": question} for question in QUESTIONS.values()]
    summary = generate(
        rows, base_url=simulator.base_url, model="persqa-simulator", tag=tag, strategy=strategy, max_bad_answers=0
    )
    assert {row["question"]: row["error"]["code"] for row in summary.failures} == {}
    assert summary.tally.re_asked == {}


@each_case("language", QUESTIONS)
def test_the_languages_of_questions_are_recognised(language: str) -> None:
    assert detect_language(QUESTIONS[language]) == language


def test_each_language_of_a_script_has_a_sentence() -> None:
    assert {*OTHER_SENTENCES, "en", "zh"} == {*QUESTIONS} >= {*SCRIPT_LANGUAGES.values()}
