"""The table ``sentences.jsonl``: answers that are no sentences about the tag, and honest ones that resemble them."""

from __future__ import annotations

import json
from typing import Any

from persqa_client.answers.sentence import find_sentence_fault, stands_behind_tag
from tests.answers.helpers import find_code, make_task
from tests.answers.score import TABLES
from tests.support.cases import each_case

CASES = [json.loads(line) for line in (TABLES / "sentences.jsonl").read_text(encoding="utf-8").splitlines()]


@each_case("case", [case for case in CASES if case["lang"] in ("en", "zh")], ids=lambda case: case["raw"])
def test_each_answer_has_its_code(case: dict[str, Any]) -> None:
    assert find_code(case["raw"], case["question"]) == case.get("code")


SENTENCE_CODES = (None, "pronoun_only", "not_a_sentence")


@each_case("case", [case for case in CASES if case.get("code") in SENTENCE_CODES], ids=lambda case: case["raw"])
def test_each_language_has_its_words(case: dict[str, Any]) -> None:
    text, language = case["raw"], case["lang"]
    stands_behind = stands_behind_tag(text, len("<mam>"), language)
    is_sentence = not stands_behind and not find_sentence_fault(text, make_task(case["question"]), language)
    assert is_sentence == (case["want"] == "good")
    assert stands_behind == (case.get("code") == "pronoun_only")


@each_case(
    ("text", "found"),
    [
        ("<mam>. The dog sleeps.", "pronoun_only"),
        ("<mam>. Rain falls.", "not_a_sentence"),
        ("<mam> the cat sleeps.", None),
        ("<mam> the red jacket.", "not_a_sentence"),
        ("<mam>… sleeps.", None),
        ("<mam>: on the left a lamp.", None),
        ("<mam>: the lamp is on.", None),
        ("<mam>: The lamp is on.", "not_a_sentence"),
        ("<mam> is asleep,", "not_a_sentence"),
        ("<mam> wears a shirt that reads \u201cthe\u201d", None),
        ("<mam> holds a photo of <mam>", None),
        ("<mam> gets an A", None),
        ("<mam> red dress with white dots.", "not_a_sentence"),
        ("<mam> blue whale swims away.", None),
    ],
)
def test_marks_after_the_tag_and_at_the_end(text: str, found: str | None) -> None:
    assert find_code(text) == found


@each_case(
    ("question", "text", "found"),
    [
        ("O que <mam> veste?", "<mam> camiseta azul listrada", "not_a_sentence"),
        ("O que <mam> veste?", "<mam> casaco de lã cinza", "not_a_sentence"),
        ("O que <mam> veste?", "<mam> óculos escuros", "not_a_sentence"),
        ("O que <mam> veste?", "<mam> apenas sorri.", None),
        ("O que <mam> veste?", "<mam> veste camiseta azul listrada.", None),
        ("O que <mam> veste?", "<mam> carrega mochila verde.", None),
        ("O que <mam> veste?", "<mam> fica vermelha de vergonha.", None),
        ("¿Qué lleva <mam>?", "<mam> falda verde con flores", "not_a_sentence"),
        ("¿Qué lleva <mam>?", "<mam> hizo dos tartas blancas.", None),
        ("Que porte <mam> ?", "<mam> robe rouge à pois", "not_a_sentence"),
        ("Que porte <mam> ?", "<mam> grimpe blanc comme un linge.", None),
        ("Was trägt <mam>?", "<mam> blaue gestreifte Jacke", "not_a_sentence"),
        ("Was trägt <mam>?", "<mam> hatte gestreifte Hosen.", None),
    ],
)
def test_a_noun_phrase_without_a_verb(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("Who is <mam>?", "<mam> is Jane Roe.", "not_a_sentence"),
        ("What is <mam> doing?", "<mam> is Jane McRoe giving a speech.", "not_a_sentence"),
        ("What is <mam> wearing?", "<mam> is the American singer Jane Roe in a red dress.", "not_a_sentence"),
        ("Who is <mam> dressed as?", "<mam> is Peter Pan, hands on hips.", None),
        ("What is <mam>?", "<mam> is Jane Roe, a doll in a box.", None),
        ("What is <mam> doing?", "<mam> is Nordic walking on a trail.", None),
        ("Where is <mam>?", "<mam> is in Times Square.", None),
        ("<mam>在做什么？", "<mam>就是李小明，他正在唱歌。", "not_a_sentence"),
        ("<mam>在做什么？", "<mam>是著名演员成某人，她正在走红毯。", "not_a_sentence"),
        ("<mam>在做什么？", "<mam>是约翰·罗伊，正在演讲。", "not_a_sentence"),
        ("<mam>演的是什么角色？", "<mam>是约翰·罗伊，正在演讲。", None),
        ("<mam>是做什么的？", "<mam>是高中老师，正在讲课。", None),
        ("¿Quién es <mam>?", "<mam> es Juan Pérez celebrando un gol.", "not_a_sentence"),
        ("¿Qué es <mam>?", "<mam> es Juan Pérez.", None),
        ("Qui est <mam> ?", "<mam> est l'actrice Jeanne Dupont.", "not_a_sentence"),
        ("Quem é <mam>?", "<mam> é João Silva comemorando um gol.", "not_a_sentence"),
        ("Wer ist <mam>?", "<mam> ist der Schauspieler Hans Schmidt.", "not_a_sentence"),
        ("Кто <mam>?", "<mam> — это Иван Петров в скафандре.", "not_a_sentence"),
        ("Кто <mam>?", "<mam> — Дед Мороз с мешком подарков.", None),
    ],
)
def test_a_whole_name_is_no_predicate(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("What is <mam> wearing?", "<mam> **Top:** red shirt **Shoes:** white", "not_a_sentence"),
        ("<mam>在做什么？", "<mam>动作：跑步；地点：公园；心情：愉快", "not_a_sentence"),
        ("<mam>手里有什么？", "<mam>手里有两张卡片，左边写着：早，右边写着：晚。", None),
        ("What is <mam> reading?", "<mam> SALE 50% OFF EVERYTHING", "not_a_sentence"),
        ("What is <mam> doing?", "<mam> @anna 12 likes", "not_a_sentence"),
        ("What is <mam> doing?", "<mam> Anna Maria Roe Smith smiles.", "not_a_sentence"),
        ("What does <mam>'s shirt say?", "<mam>'s shirt says JUST DO IT in big letters.", None),
        ("<mam>在看什么？", "<mam>菜单 炒面 38元 汤面 32元", "not_a_sentence"),
        ("<mam>多高？", "<mam>身高约 120 厘米，比桌子高", None),
    ],
)
def test_lists_and_copied_text_are_no_sentences(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("Where is <mam>?", "<mam> downstairs.", "not_a_sentence"),
        ("Where is <mam>?", "<mam> is outdoors.", None),
        ("What is behind <mam>?", "<mam> mountains.", "not_a_sentence"),
        ("What is <mam> holding?", "<mam> waves.", None),
        ("What is <mam> doing?", "<mam> dances.", None),
        ("Is <mam> indoors or outdoors?", "<mam> outdoors", "not_a_sentence"),
        ("What colour are <mam>'s eyes?", "<mam> sleeps.", None),
        ("<mam>在什么地方?", "<mam>海边", "not_a_sentence"),
        ("<mam>在哪儿？", "<mam>躺床上。", None),
        ("<mam>骑着什么？", "<mam>自行车。", "not_a_sentence"),
        ("<mam>穿着什么？", "<mam>西装革履。", None),
        ("<mam>在室内还是室外？", "<mam>室外。", "not_a_sentence"),
        ("<mam>在工作还是休息？", "<mam>休息。", None),
        ("Welche Farbe hat der Schal von <mam>?", "<mam> Blau.", "not_a_sentence"),
        ("Was macht <mam>?", "<mam> schläft.", None),
        ("¿Dónde está <mam>?", "<mam> parque.", "not_a_sentence"),
        ("Est-ce que <mam> est dehors ?", "<mam> est dehors.", None),
        ("Que mange <mam> ?", "<mam> pâtes.", "not_a_sentence"),
        ("O que <mam> segura?", "<mam> guarda-chuva.", "not_a_sentence"),
        ("Какого цвета платье у <mam>?", "<mam> зелёное.", "not_a_sentence"),
        ("Какого цвета <mam>?", "<mam> рыжий.", None),
        ("Где <mam>?", "<mam> дома.", None),
    ],
)
def test_a_word_alone_answers_only_a_question_for_a_deed(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "found"),
    [
        ("What is <mam> wearing?", "not_a_sentence"),
        ("List what <mam> wears.", None),
        ("Can you list it for <mam>?", None),
    ],
)
def test_a_list_with_labels_in_bold_must_be_asked_for(question: str, found: str | None) -> None:
    assert find_code("<mam> wears:\n- **Top:** a shirt\n- **Bottom:** a skirt", question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("<mam>那里天气好吗？", "<mam>天气晴朗，阳光明媚。", "not_a_sentence"),
        ("<mam>是什么样的人？", "<mam>阳光开朗，很爱笑。", None),
        ("<mam>有帽子吗？", "<mam>没有，图中没有看到帽子。", "not_a_sentence"),
        ("<mam>有帽子吗？", "<mam>没有，头上什么也没戴。", None),
    ],
)
def test_another_subject_behind_the_tag(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("<mam>的心情怎么样？", "<mam>很。", "not_a_sentence"),
        ("<mam>的心情怎么样？", "<mam>非常。", "not_a_sentence"),
        ("<mam>的心情怎么样？", "<mam>看起来有点。", "not_a_sentence"),
        ("<mam>的表情怎么样？", "<mam>坐在窗边，看上去十分。", "not_a_sentence"),
        ("<mam>的房间怎么样？", "<mam>的房间里东西不多，感觉挺。", "not_a_sentence"),
        ("<mam>的表演怎么样？", "<mam>的表演精彩非常。", None),
        ("<mam>心情如何？", "<mam>今天开心得很。", None),
        ("<mam>难过吗？", "<mam>有点。", None),
        ("<mam>的体型和它比怎么样？", "<mam>和它的相当。", None),
        ("<mam>在做什么？", "<mam>正拿着两件衣服，和她比较。", None),
    ],
)
def test_an_adverb_of_degree_at_the_end(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("Что у <mam> в руках?", "<mam>: на изображении мужчина держит лыжи.", "pronoun_only"),
        ("Что у <mam> в руках?", "<mam>: на фото девушка с букетом.", "pronoun_only"),
        ("What is <mam> holding?", "<mam>: in the picture a man is holding skis.", "pronoun_only"),
        ("<mam>は何を持っていますか？", "<mam>：写真では男性がスキーを持っています。", "pronoun_only"),
        ("ماذا يحمل <mam>؟", "<mam>: في الصورة رجل يحمل زلاجات.", "pronoun_only"),
        ("Что у <mam> в руках?", "<mam>: на изображении на футболке — лыжи, а в руках палки.", None),
        ("What is <mam> holding?", "<mam>: in the picture on the left a pair of skis is held.", None),
    ],
)
def test_somebody_in_the_picture_behind_a_colon(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text", "found"),
    [
        ("Which vehicle is <mam> next to?", "<mam> snowplough parked at the roadside.", "not_a_sentence"),
        ("Which boat is <mam> on?", "<mam> ferry moored at the pier.", "not_a_sentence"),
        ("What tree is <mam> under?", "<mam> willow planted by the river.", "not_a_sentence"),
        ("Which car is <mam> next to?", "<mam> stood parked at the roadside.", None),
        ("Which tree is <mam> under?", "<mam> dozed curled under an oak.", None),
        ("Which hall is <mam> in?", "<mam> spent hours seated in the great hall.", None),
        ("Which bus did <mam> take?", "<mam> just boarded at the last stop.", None),
        ("What is <mam> doing?", "<mam> truck parked at the roadside.", None),
    ],
)
def test_a_noun_before_its_participle(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found
