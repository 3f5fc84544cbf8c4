"""Chinese and English words within a sentence of another language, and names, dishes and loans that resemble them."""

from __future__ import annotations

from tests.answers.helpers import find_code
from tests.support.cases import each_case

QUESTIONS = {
    "fr": "Que fait <mam> ?",
    "de": "Was macht <mam>?",
    "ar": "ماذا يفعل <mam>؟",
    "ru": "Что делает <mam>?",
    "ko": "<mam>은 무엇을 하고 있나요?",
    "zh": "<mam>在做什么？",
}


@each_case(
    ("language", "text"),
    [
        ("fr", "<mam> 跳舞 dans le parc."),
        ("fr", "<mam> porte un chapeau 和 des gants."),
        ("fr", "<mam> tient 一个 sac à main."),
        ("de", "<mam> trägt einen 绿色的 Mantel."),
        ("ru", "<mam> носит куртку 蓝色 и шапку."),
        ("ko", "<mam>은 红色的 모자를 쓰고 있습니다."),
        ("fr", "<mam> porte un jean and elle tient un sac."),
        ("de", "<mam> hat eine Tasche und is standing neben dem Baum."),
        ("de", "<mam> sitzt auf dem Stuhl because er müde ist."),
        ("ar", "<mam> يرتدي قميصا red وقبعة white في الشارع."),
        ("ru", "<mam> стоит у двери wearing красную куртку."),
        ("ar", "<mam> ينظر إلى the camera مبتسما."),
        ("fr", "<mam> porte un chapeau, which est trop grand."),
        ("fr", "<mam> est assis 旁边 la table."),
        ("de", "<mam> läuft 慢慢地 durch den Park."),
    ],
)
def test_words_of_another_language_within_a_sentence(language: str, text: str) -> None:
    assert find_code(text, QUESTIONS[language]) == "wrong_language"


@each_case(
    ("language", "text"),
    [
        ("fr", "<mam> mange un bol de 麻婆豆腐 avec du riz."),
        ("de", "<mam> trägt ein Armband mit dem Zeichen 和 daran."),
        ("fr", "<mam> est fan de rock and roll et de rhythm and blues."),
        ("fr", "<mam> dirige une holding et porte un costume gris."),
        ("de", "<mam> trinkt einen Whisky on the rocks an der Bar."),
        ("ar", "<mam> يرتدي قميص puma أبيض وحذاء nike وجوارب adidas."),
        ("ko", "<mam>은 shopping을 하고 있습니다."),
        ("ko", "<mam>은 info@seoul.go.kr로 문의하라는 안내문을 들고 있습니다."),
        ("ko", "<mam>의 가방에는 www.hanabank.co.kr이라는 주소가 적혀 있습니다."),
        ("zh", "<mam>穿着一件oversize的hoodie，搭配legging和boots。"),
    ],
)
def test_names_loans_and_addresses_are_no_other_language(language: str, text: str) -> None:
    assert find_code(text, QUESTIONS[language]) is None
