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
    "en": "What is <mam> doing?",
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
        ("en", "<mam> is drinking a 奶茶 with a straw from plastic cup."),
        ("en", "<mam> is holding a 果汁 in his hand."),
        ("en", "<mam> is eating a 三明治 on a bench."),
        ("zh", "<mam>留着一头curly的短发。"),
        ("zh", "<mam>的刘海slightly盖住了额头。"),
        ("zh", "<mam>穿着一条beautiful的裙子。"),
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
        ("en", "<mam> is drinking a 珍珠奶茶 on a bench."),
        ("en", "<mam> is drinking a cup of 奶茶 from a shop called 喜茶."),
        ("en", "<mam> is drinking a 奶茶 (milk tea) with a straw."),
        ("en", "<mam> is holding a 喜茶 cup with a straw."),
        ("zh", "<mam>正在用grammarly改作文。"),
        ("zh", "<mam>和family的合影挂在墙上。"),
        ("zh", "<mam>拿着一杯grande的拿铁。"),
    ],
)
def test_names_loans_and_addresses_are_no_other_language(language: str, text: str) -> None:
    assert find_code(text, QUESTIONS[language]) is None
