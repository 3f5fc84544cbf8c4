"""The table ``kinds.jsonl``, kinds of bad answers and honest ones that resemble them, and the blind tables."""

from __future__ import annotations

import pytest

from persqa_client.answers.non_answers import build_statement, find_own_text, has_phrase
from persqa_client.answers.phrases import has_hint, languages_to_check, may_have_hint
from tests.answers.score import TABLES, find_family, judge, read_part
from tests.support.cases import each_case

KINDS = ("refusal", "no_image", "about_the_task")
# Invented words in sound grammar: no dictionary tells them from rare ones.
# Only the same tells a word that is cut off, and no rule tells an adjective that its noun is missing.
OUT_OF_REACH = (
    "<mam> está segarando um guardo-chuvol",
    "<mam> está sentado na varanda, lendo o jornal e",
    "<mam> стоит у плиты в переднике с цветочным узором",
)
# Another subject that only the picture tells from an aside, an invented name, words in no order in sound grammar,
# two clauses of which one denies the thing of the other, and an attribute that may stand for the noun of the question.
STILL_ACCEPTED = (
    "<mam> 파란 버스가 정류장에 서 있고 사람들이 줄을 서 있습니다.",
    "<mam> corre corre en el parque el parque corre mesa verde cuando azul sin por.",
    "<mam> السيارة الحمراء متوقفة قرب الرصيف وخلفها شاحنة.",
    "<mam>正在玩一个红色的",
    "<mam> window the blue of seventeen carpet likewise onto ran spoon gently.",
    "<mam> Elena is wearing a green velvet dress.",
)
# Of ``blind_22``: contradictions, words of another language, and words in no order.
STILL_WRONG_22 = (
    "<mam> tiene uma mochila azul-marinho pendurada no ombro esquerdo.",
    "<mam>的指甲涂成了酒红色，无名指上还贴着一颗 маленький 的亮钻。",
)
# The same for the last tables: besides these, contradictions between two sentences, a word cut in the middle, a
# celebrity that the model names (--names finds those of its file), and an honest answer that begins with another word.
STILL_WRONG = (
    "<mam> смотрит на экран 手机,держа его в правой руке.",
    "<mam> está en una plaza con una fuente y muchos",
    "<mam> ينظر إلى البحر من نافذة",
    "<mam> стоит на мосту через реку, а позади него виднеется",
    "<mam> стоит на фоне старой крепости, за которой видны зелёные хол",
    "<mam> est Jean Dujardin, l'acteur français, sur un tapis rouge.",
    "Behind <mam> there is a brick wall covered in ivy, with a green door half hidden in it.",
)

# Of ``near_rules``, ``near_rules_2`` and ``adversary_9``: English words that may be a brand, words of a refusal or a
# notice, tempo marks and dishes of another language, and two words in a row that are no phrase.
STILL_DROPPED = (
    "<mam> lleva una gorra con el dibujo de los angry birds.",
    "<mam> lleva una sudadera con un smile amarillo.",
    "<mam> is looking up at a glowing 红色 button labelled in Chinese.",
    "<mam> toca un allegro molto ma non troppo al piano.",
    "<mam> is pointing at the word that the is missing from and is laughing.",
    "<mam> come tacos al pastor y un burrito con frijoles.",
    "<mam> стоит у кассы, запрос отклонён, и кассир качает головой.",
    "<mam> يرفع بطاقة، الرد مرفوض كما تظهر اللوحة الحمراء.",
)
# Of ``blind_26``.
STILL_WRONG_26 = ("<mam> is wearing gloves, and no gloves are being worn by <mam>.",)
# Of ``blind_29``.
STILL_WRONG_29 = ("<mam> est en train de reading un livre while assis sur the couch.",)
# Of ``blind_30``.
STILL_WRONG_30 = (
    "<mam>桌上放着：\n1. 一个白色茶壶\n2. 两只茶杯\n3. 一碟瓜子",
    "<mam> befindet sich in einem Supermarkt und schiebt einen shopping cart through the aisle.",
    "<mam>은 밝게 微笑하며 카메라를 보고 있습니다.",
)
# Of ``blind_31``.
STILL_WRONG_31 = ("<mam>穿着外套，但是<mam>没有穿外套，只穿了一件短袖。",)
# Of ``blind_33``.
STILL_WRONG_33 = ("<mam> sitzt neben zwei 山羊 und einem kleinen lamb auf der Wiese.",)
# Of ``blind_34``.
STILL_WRONG_34 = (
    "<mam> is not carrying an umbrella, and the umbrella in <mam>'s hand is bright yellow.",
    "<mam> is standing in a garden with a white fence.",
)
# Of ``blind_36``.
STILL_WRONG_36 = (
    "<mam> находится в 茶馆, рядом с окном.",
    "<mam>左边没有任何人，左边那个人正在看手机。",
    "<mam>戴着一双红色手套，他的双手没有戴任何东西。",
    "<mam>是一个男孩在操场上踢足球。他穿的是<mam>的衣服",
    "<mam>의 얼굴이 반쯤 가려져 있어 확실하지 않지만 조금 피곤해 보입니다.",
    "<mam>正在raising his hand，准备回答老师的question。",
    "<mam> is wearing:\n\n- **Top:** white blouse\n- **Bottom:** pleated skirt\n- **Shoes:** loafers",
    "<mam>'s image shows a group of players in red shirts celebrating a goal near the corner flag.",
    "<mam>在做的是一个角色，需要根据图片来描述这个角色正在做什么蛋糕。",
    "<mam> is holding a tray of croissants in both hands, but <mam> is not holding anything.",
    "<mam>：衣服上有一只小熊的图案。",
    "<mam>围巾围巾的的红色是子，了在上其它对于。",
    "<mam> is likely referring to a placeholder for the character in the question, but there is no one with that name"
    " in the picture.",
)
KNOWN = (
    *STILL_DROPPED,
    *STILL_ACCEPTED,
    *STILL_WRONG,
    *STILL_WRONG_22,
    *STILL_WRONG_26,
    *STILL_WRONG_29,
    *STILL_WRONG_30,
    *STILL_WRONG_31,
    *STILL_WRONG_33,
    *STILL_WRONG_34,
    *STILL_WRONG_36,
)

PARTS = pytest.mark.parametrize(
    "is_fast", [pytest.param(True, id="a fourth"), pytest.param(False, id="the rest", marks=pytest.mark.slow)]
)


@PARTS
@each_case(
    "name",
    [
        "hard",
        "kinds",
        "near_phrases",
        "near_rules",
        "near_rules_2",
        "near_rules_3",
        "near_rules_4",
        "near_rules_5",
        "near_rules_6",
        "near_rules_7",
        "near_rules_8",
        "near_rules_9",
        *(f"blind_{number}" for number in range(4, 37)),
        "adversary",
        *map("adversary_{}".format, range(2, 14)),
    ],
)
def test_no_answer_is_judged_wrong(name: str, is_fast: bool) -> None:
    assert find_wrong(name, is_fast=is_fast) == []


@pytest.mark.slow  # has many tags, with patterns for each
@pytest.mark.parametrize("is_fast", [True, False])
@each_case("name", ["blind_1", "blind_2", "blind_3"])
def test_no_answer_with_one_of_many_tags_is_judged_wrong(name: str, is_fast: bool) -> None:
    assert find_wrong(name, is_fast=is_fast) == []


def find_wrong(name: str, *, is_fast: bool) -> list[tuple[str, str, str]]:
    return [
        (case.raw, *judge(case))
        for case in read_part(TABLES / f"{name}.jsonl", is_fast=is_fast)
        if judge(case)[0] and not case.raw.startswith(OUT_OF_REACH) and case.raw not in KNOWN
    ]


@PARTS
def test_a_text_with_a_phrase_of_a_table_has_a_hint(is_fast: bool) -> None:
    """The phrases are only looked for in texts with a hint, so a hint that lacks lets a bad answer through."""
    lacking = []
    paths = sorted(TABLES.rglob("*.jsonl"))
    for case in (case for path in paths for case in read_part(path, is_fast=is_fast) if not case.is_good):
        for language in languages_to_check(case.question, case.raw):
            statement = build_statement(case.raw, case.tag, language, find_own_text(case.raw, case.tag, language))
            kinds = [kind for kind in KINDS if has_phrase(statement, language, kind)]
            if kinds and not (may_have_hint(case.raw, language) and has_hint(statement.text, language)):
                lacking.append((language, case.raw, kinds))
    assert lacking == []


@each_case(
    ("kind", "family"),
    [
        ("near a contradiction", "contradictions"),
        ("further Q&A", "echoes and further questions"),
        ("JSON box", "server text and markup"),
        ("plain", "other kinds"),
    ],
)
def test_kinds_belong_to_families(kind: str, family: str) -> None:
    assert find_family(kind) == family
