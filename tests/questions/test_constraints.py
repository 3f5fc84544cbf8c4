"""The sentence constraint: what it allows and excludes in each language, and no honest answer of the tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persqa_client.client.dialect import constraint_fields
from persqa_client.questions.constraints import FORMS, choose_form, sentence_pattern
from tests.answers.answer_table import CASES
from tests.support.cases import each_case

TABLES = Path(__file__).parents[1] / "answers" / "tables"

QUESTIONS = {
    "latin": "What is <mam> wearing?",
    "han": "<mam>穿着什么？",
    "japanese": "<mam>は何をしていますか？",
    "korean": "<mam>은 무엇을 입고 있나요?",
    "cyrillic": "Что делает <mam>?",
    "arabic": "ماذا ترتدي <mam>؟",
    "devanagari": "<mam> ने क्या पहना है?",
    "other": "<mam> สวมอะไร",
}


def matches(form: str, answer: str, name: str = "<mam>") -> bool:
    return re.fullmatch(sentence_pattern(name, form), answer) is not None


@each_case(
    ("question", "form"),
    [
        *((question, form) for form, question in QUESTIONS.items()),
        ("¿Qué lleva puesto <mam>?", "latin"),
        ("Was trägt <mam>?", "latin"),
        ("<mam>の服は？", "japanese"),
        ("<小满>在做什么？", "han"),
        ("Τι φοράει <mam>;", "other"),
        ("<mam>?", "latin"),
        ("<mam> держит iPhone?", "cyrillic"),
        ("<mam>？", "other"),
    ],
)
def test_the_form_is_that_of_the_question(question: str, form: str) -> None:
    assert choose_form(question) == form


@each_case(
    ("form", "rest"),
    [
        ("latin", " wears a blue jacket."),
        ("latin", "'s hat is red."),
        ("latin", "’s Adidas shoes are white!"),
        ("latin", ", on the left, waves."),
        ("latin", ", I believe, is holding a cello bow."),
        ("latin", " (left) holds a cup."),
        ("latin", "… just… sits… there."),
        ("latin", " is 3.5 m tall, e.g. as tall as a house. It stands there."),
        ("latin", " is saying, “I'm sorry.”"),
        ("latin", ' says: "Stop (now!)."'),
        ("latin", " wears:\n- a red hat\n- a red scarf"),
        ("latin", " wears:\n\n1. a hat\n2) **Shoes:** v1.5"),
        ("latin", " sits.\n\nTo the left there is a tree."),
        ("latin", " n'a pas de chapeau."),
        ("latin", " está de pé."),
        ("latin", " élève la main."),
        ("latin", " öffnet die Tür."),
        ("latin", " đang mặc áo khoác đỏ."),
        ("han", "穿着红色的外套。"),
        ("han", "的T恤上印着字。"),
        ("han", " 的外套是红色的。"),
        ("han", "，我猜大约二十五岁。"),
        ("han", "（左）拿着杯子。"),
        ("han", "3岁左右。"),
        ("han", "非常高。"),
        ("han", "抱着一只猫。"),
        ("han", "对着镜头笑。"),
        ("han", "照镜子。"),
        ("han", "说：“你好。”"),
        ("han", "有三样东西：\n- 帽子\n- 围巾"),
        ("japanese", "は本を持っています。"),
        ("japanese", " は本を持っています。"),
        ("japanese", "さんの帽子は赤いです。"),
        ("korean", "은 책을 들고 있습니다."),
        ("korean", " 앞의 컵은 빨갛습니다."),
        ("cyrillic", " читает книгу."),
        ("cyrillic", ", сидя, читает."),
        ("cyrillic", " — врач."),
        ("arabic", " ترتدي معطفا أحمر."),
        ("devanagari", " लाल जैकेट पहने हुए है।"),
        ("other", " สวมเสื้อสีแดง"),
        ("other", "สวมเสื้อสีแดง"),
        ("other", " φοράει καπέλο."),
    ],
)
def test_honest_sentences_are_possible(form: str, rest: str) -> None:
    assert matches(form, "<mam>" + rest)


@each_case(
    ("form", "rest"),
    [
        *(
            ("latin", rest)
            for rest in (
                "", " ", ".", " The man is wearing a jacket.", ": The woman wears a jacket.", ". She wears a jacket.",
                " There is no person in the image.", " I cannot fulfill your request.", ", I cannot help with that.",
                " No image was provided.", " N/A.", " is wearing a", "\nwears a hat.", "\n\nI'm unable to see it.",
                " Él lleva un sombrero.", " <mam> wears a hat.", "穿着外套。", " wears a hat,", " Die Frau lacht.",
            )
        ),
        *(
            ("han", rest)
            for rest in (
                "", "。", "图中的男子穿着外套。", "图片里没有人。", "照片中的人在笑。", "她穿着外套。", "：她在笑。",
                "，对不起，我无法回答。", "我无法回答。", "抱歉，我不能回答。", "对不起。", "很抱歉。", "非常抱歉。",
                " 穿着外套。", " wears a hat.", "is a man。", "穿着", "穿着外套，", "\n穿着外套。",
            )
        ),
        *(("japanese", rest) for rest in ("この画像には人がいません。", "申し訳ありません。", "は本を", " wears it.")),
        *(("korean", rest) for rest in ("죄송합니다.", "은 책을", ": 그는 서 있다.")),
        *(("cyrillic", rest) for rest in (" Мужчина читает.", ": он читает.", " читает", " Я не могу.")),
        *(("arabic", rest) for rest in (": هي ترتدي.", " ترتدي", "\nترتدي.")),
        ("devanagari", " जैकेट"),
        ("other", ": สวม"),
        ("other", "\nสวม"),
    ],
)  # fmt: skip
def test_other_texts_are_not(form: str, rest: str) -> None:
    assert not matches(form, "<mam>" + rest)


# A constrained model says the same in another way.
NO_END = r"""<mam> holds a green umbrella
<mam>手里拿着一把绿色的雨伞
<mam> is a screen of about 12"
<mam>的屏幕比例是16:9，尺寸为12"
<mam> has a sign "Go" and another one "Stop"
<mam> has two keys on a pad:\nA: red\nB: green
<mam> looks happy 😊👍🎉
<mam> is blowing out the candles on a birthday cake 🎂 while her friends cheer! 🎉
<bia> está comemorando o aniversário com um bolo de brigadeiro e três velas acesas 🎂🎉"""
# What follows the tag is also how bad answers begin, or a space that Chinese does not have, or a noun in Latin letters;
# or a Chinese sentence has the marks of English.
OTHER_START = """<mam>T恤上印的是“LESS IS MORE”，意思是“少即是多”。
<mam>T恤上的英文是“Stay hungry, stay foolish”，意思是“求知若饥，虚心若愚”。
<mam>身后的海报上写着:“如果不害怕,你会做什么?”
<mam>的水杯上印着一句英文:“I can't adult today.”
<mam>: on the left a lamp; on the right a plant.
<mam>：左边是灯；右边是花。
<mam>，右边那位，背着红色的包。
<mam>，照片里左边的男子，骑着一辆自行车。
<mam>，也就是穿红衣服的女孩，正在跳绳。
<mam>、つまり左側の男性は、自転車に乗っています。
<mam>, 즉 왼쪽에 있는 남자는 자전거를 타고 있습니다.
<mam> 坐在火车靠窗的座位上，窗外是一片金黄的油菜花田。
<mam> 正抱着一把琵琶，左手按弦，右手轻轻拨动。
<mam> 正坐在咖啡馆靠窗的位置低头看手机，面前放着一杯还没喝完的拿铁。
<mam> 站在一座石拱桥上，桥下是一条结了薄冰的小河。
<mam>面前的蛋糕上用巧克力酱写着“祝奶奶80大寿快乐!”"""
# A space before the closing mark, as in French, the genitive of German, which English lacks, and a surname.
OTHER_LANGUAGES = {
    "<mam> lit sur l'écran de son téléphone un message de sa sœur : "
    "« Désolée, je ne peux pas répondre pour le moment, rappelle-moi ce soir ! »",
    "<mam> tient une affiche sur laquelle on peut lire : « Et vous, que feriez-vous à ma place ? »",
    "<mam> est puni et recopie au tableau : « Je ne bavarderai plus en classe. Je ne bavarderai plus en classe. "
    "Je ne bavarderai plus en classe. Je ne bavarderai plus en classe. »",
    "<mam>s Schuhe sind dunkelrot und haben weiße Schnürsenkel; <mam>s Socken sind dagegen grau.",
    "<mam> Петров улыбается и машет рукой.",
    "<mam> Gilmore says: hello there, friend.",
    "<mam> Dupont dit : bonjour à tous.",
    "<mam> Müller ruft: Hallo zusammen!",
    "<mam> se trouve devant un comptoir d'accueil où une pancarte demande : "
    "« Puis-je vous aider ? Avez-vous d'autres questions ? »",
    "<mam> lit un panneau qui annonce : « Si vous vous perdez, nous nous retrouverons tous près du kiosque. »",
    "<mam> demande : « Tu tiens quoi ? »",
    "<mam>s Hund liegt zusammengerollt unter der Gartenbank.",
    "<mam>s Schal ist dunkelgrün mit feinen weißen Streifen und reicht fast bis zum Gürtel.",
}
# A German genitive has no mark between the tag and its ending, and French puts a blank before a closing quotation mark.
GENITIVE = re.compile(r"<\w+>s [A-ZÄÖÜ]")
FRENCH_END = re.compile(r"[.!?] »\Z")
# A constraint makes the answer begin with its tag.
TAG_INSIDE = {"Behind <mam> there is a brick wall covered in ivy, with a green door half hidden in it."}
EXCLUDED = (
    OTHER_LANGUAGES | TAG_INSIDE | {line.replace(r"\n", "\n") for line in (NO_END + "\n" + OTHER_START).splitlines()}
)


END_MARK = re.compile(r"[.!?。！？…؟।][\s\"'”’»」』)）]*$")
# Tables of answers that resemble bad ones on purpose: many have no full stop, or another start.
RARE_FORMS = (
    *("sentences.jsonl", "phrasings.jsonl", "kinds.jsonl"),
    *map("near_rules_{}.jsonl".format, range(3, 10)),
    *map("adversary_{}.jsonl".format, range(8, 11)),
)


def honest_answers(paths: Iterable[Path]) -> list[tuple[str, str, str]]:
    """Question, answer and tag."""
    found = [(case.question, case.answer, case.tag) for case in CASES if case.answer is not None]
    for path in paths:
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        found += [
            (row["question"], row.get("becomes", row["raw"]), f"<{row.get('tag', 'mam')}>")
            for row in rows
            if row["want"] == "good"
        ]
    return found


def excluded_answers(answers: list[tuple[str, str, str]]) -> set[str]:
    return {
        answer
        for question, answer, tag in answers
        if re.fullmatch(sentence_pattern(tag, choose_form(question)), answer) is None
    }


def test_all_other_honest_answers_are_possible() -> None:
    answers = honest_answers(path for path in TABLES.rglob("*.jsonl") if path.name not in RARE_FORMS)
    assert len(answers) > 900
    # A constrained model adds the full stop that an honest answer may lack.
    ended = {answer for answer in excluded_answers(answers) if END_MARK.search(answer)}
    assert {each for each in ended - EXCLUDED if not (GENITIVE.match(each) or FRENCH_END.search(each))} == set()
    rare = honest_answers(TABLES / name for name in RARE_FORMS)
    assert len(excluded_answers(rare)) < 0.1 * len(rare)
    for line in NO_END.splitlines():
        answer, tag = line.replace(r"\n", "\n"), line.partition(">")[0] + ">"
        assert matches("latin", answer + ".", tag) or matches("han", answer + "。", tag)


@pytest.mark.parametrize("name", ["<a.b-c>", "<小满>", "Charlie", "小满"])
def test_the_name_begins_the_answer(name: str) -> None:
    assert matches("han", f"{name}在看书。", name)
    assert not matches("han", "<aXb-c>在看书。", name)


@each_case("form", FORMS)
def test_a_latin_name_is_not_the_beginning_of_a_word(form: str) -> None:
    assert not matches(form, "Charliexy is here. 。", "Charlie")


@each_case("form", FORMS)
def test_patterns_have_nothing_that_grammars_of_servers_lack(form: str) -> None:
    """No look-around, boundary, lazy or counted repetition, and no escapes but of punctuation, \\n, \\s and \\S."""
    pattern = sentence_pattern("<mam>", form)
    assert not re.search(r"\(\?[^:]|[*+?]\?|[*+]\+|\{|\\[^\].()nsS]", pattern)


def json_pattern(form: str) -> str:
    schema = constraint_fields("json_schema", sentence_pattern("<mam>", form))["response_format"]["json_schema"]
    return str(schema["schema"]["properties"]["answer"]["pattern"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_answers_in_json_need_no_escapes(form: str, data: st.DataObject) -> None:
    answer = data.draw(st.from_regex(json_pattern(form), fullmatch=True))
    assert json.loads(f'{{"answer": "{answer}"}}') == {"answer": answer}
    assert matches(form, answer)


def test_sentences_and_lists_are_possible_in_json() -> None:
    assert re.fullmatch(json_pattern("latin"), "<mam> wears a hat.”")
    assert re.fullmatch(json_pattern("han"), "<mam>穿着外套。”")
    assert not re.fullmatch(json_pattern("latin"), "<mam> The man wears a hat.")
