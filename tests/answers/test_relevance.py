"""Answers that say nothing of what the question asks for, and honest ones that come near to them."""

from __future__ import annotations

from persqa_client.answers.phrases import list_languages, load_table
from persqa_client.answers.relevance import check_answers_question
from persqa_client.questions.prompts import build_reask_prompt
from persqa_client.types import Problem
from tests.answers.helpers import make_task
from tests.support.cases import each_case


def check(question: str, answer: str) -> Problem | None:
    return check_answers_question(answer, make_task(question, "<mam>"))


@each_case(
    ("question", "answer"),
    [
        # What could be said of every picture.
        ("What is <mam> holding?", "<mam> is the main subject of the picture, and she is clearly visible."),
        ("<mam>的指甲涂了什么颜色？", "<mam>是一个非常可爱的角色，深受大家的喜爱。"),
        ("<mam>的鞋带是什么颜色?", "<mam>在画面中。"),
        ("<mam>の靴は何色ですか？", "<mam>は写真の中に写っています。"),
        ("Was hält <mam>?", "<mam> ist auf dem Bild deutlich zu sehen."),
        ("What is <mam> drinking?", "<mam> is a figure shown in this picture."),
        ("<mam>要去哪里？", "<mam>是画面中的人物之一。"),
        ("<mam>は何を飲んでいますか？", "<mam>は画像の中の人物です。"),
        # The same, where yes or no is asked for.
        ("Does <mam> have a beard?", "<mam> can be seen in the image."),
        ("<mam>在跑步吗？", "<mam>是这张照片的主角。"),
        ("Hat <mam> einen Bart?", "<mam> ist auf dem Bild zu sehen."),
        # Both words of a choice.
        ("Is <mam> asleep or awake?", "<mam> is asleep or awake."),
        ("<mam>是猫还是狗？", "<mam>是猫或狗。"),
        ("¿Está <mam> dentro o fuera?", "<mam> está dentro o fuera."),
        # Words that add nothing to the question.
        ("What is <mam> reading?", "<mam> is reading something in the picture."),
        ("What is <mam> sitting on?", "<mam> is sitting on something."),
        ("What is <mam> wearing?", "<mam> is wearing clothes."),
        ("<mam>穿了什么？", "<mam>穿着衣服。"),
        ("<mam>有什么特别的地方？", "<mam>很特别。"),
        ("¿Qué lleva <mam>?", "<mam> lleva ropa."),
        ("ماذا ترتدي <mam>؟", "<mam> ترتدي ملابس."),
        # Something else than what is asked.
        ("What colour is <mam>'s scarf?", "<mam> is standing at a bus stop."),
        ("What colour is <mam>'s tie?", "<mam> appears happy and is smiling."),
        ("<mam>的杯子是什么颜色？", "<mam>留着短发。"),
        ("<mam>的帽子是什么颜色的？", "<mam>站在沙滩上，身后是大海。"),
        ("Какого цвета шляпа у <mam>?", "<mam> сидит на скамейке."),
        ("<mam>의 모자는 무슨 색인가요?", "<mam>은 벤치에 앉아 있습니다."),
        ("What is <mam> writing with?", "<mam> is wearing a red sweater and has curly hair."),
        ("<mam>在吃什么？", "<mam>穿着一件白色T恤，留着短发。"),
        ("Who is <mam> talking to?", "<mam> has short black hair."),
        ("What is the child next to <mam> doing?", "<mam> wears a blue coat."),
        ("<mam>身后有什么？", "<mam>穿着皮夹克。"),
        ("What is written on the wall?", "<mam> is sitting on a bench."),
        ("<mam>的杯子上写着什么？", "<mam>坐在沙发上。"),
    ],
)
def test_an_answer_that_says_nothing_of_what_is_asked_is_rejected(question: str, answer: str) -> None:
    problem = check(question, answer)
    assert problem is not None
    assert (problem.code, problem.variant) == ("echo", "no_answer")
    assert build_reask_prompt(make_task(question, "<mam>"), answer, problem)


@each_case(
    ("question", "answer"),
    [
        ("Is <mam> visible in the mirror?", "<mam> is clearly visible in the mirror."),
        ("Where is <mam> in the picture?", "<mam> is in the centre of the picture."),
        ("Who is <mam>?", "<mam> is the main character of the picture."),
        ("Is <mam> there?", "<mam> is in the picture."),
        ("Is <mam> holding something?", "<mam> is holding something."),
        ("Is <mam> sitting or standing?", "<mam> is either sitting or crouching behind the counter."),
        ("<mam>还是坐着吗？", "<mam>还是坐着。"),
        ("What color is <mam>'s shirt?", "<mam> is shirtless in this photo."),
        ("What is <mam> looking at?", "<mam> is smiling at the camera."),
        ("What is <mam> looking at?", "<mam> is wearing VR goggles."),
        ("What is behind <mam>'s ear?", "<mam> has a flower in her hair."),
        ("What does <mam> say?", "<mam> is smiling silently."),
        ("<mam>身后的招牌写着什么？", "<mam>站在星巴克门口。"),
        ("What is <mam> folding?", "<mam> is folding clothes."),
        ("<mam>在洗什么？", "<mam>在洗衣服。"),
        ("Which is up, the left or the right hand of <mam>?", "<mam>'s right hand is up."),
        ("What colour are <mam>'s gloves?", "<mam> is working with bare hands."),
        ("What colour are the flowers near <mam>?", "<mam> is sitting among sunflowers."),
        ("What colour is <mam>'s outfit?", "<mam> is dressed in a Santa costume."),
        ("<mam>的头发是什么颜色？", "<mam>是个光头。"),
        ("<mam>是什么颜色的？", "<mam>正趴着，黑白相间。"),
        ("What is <mam> listening with?", "<mam> is wearing wireless earbuds."),
        ("<mam>的裤子是什么颜色的？", "<mam>坐在桌子后面，只能看到上半身。"),
        ("<mam>的衣服是什么颜色的？", "<mam>正在打篮球，身穿湖人队的球衣。"),
        ("<mam>的毛是什么颜色的？", "<mam>正在晒太阳，全身雪一样。"),
        ("What is <mam> celebrating?", "<mam> is wearing a graduation gown and a cap."),
        ("What is <mam> playing?", "<mam> is dressed in a football kit."),
        ("<mam>在庆祝什么？", "<mam>穿着学士服，戴着学士帽。"),
        ("<mam>手里拿着什么？", "<mam>戴着拳击手套。"),
        ("What is <mam> holding?", "<mam> is wearing boxing gloves and holds nothing."),
        ("<mam>在哪里？", "<mam>穿着围裙在厨房里。"),
        ("Vad har <mam> på sig?", "<mam> har kläder."),
    ],
)
def test_an_indirect_answer_is_accepted(question: str, answer: str) -> None:
    assert check(question, answer) is None


@each_case("language", sorted(list_languages()))
def test_a_language_has_the_words_of_all_rules(language: str) -> None:
    table = load_table(language)["relevance"]
    assert {
        "color",
        "colors",
        "unseen",
        "elsewhere",
        "general",
        "joint",
        "presence",
        "shown",
        "hollow",
        "empty",
        "wears",
        "clothes",
    } <= {place for place in table if table[place]}


@each_case(
    ("question", "answer"),
    [
        ("<mam>的裤子是什么颜色的？", "<mam>正在海边放风筝，天上还有几只海鸥。"),
        ("<mam>的帽子是什么颜色的？", "<mam>正在遛两只小狗。"),
        ("<mam>的包是什么颜色的？", "<mam>在和三只羊一起玩。"),
    ],
)
def test_animals_that_are_counted_are_no_reason_why_a_color_is_unseen(question: str, answer: str) -> None:
    assert check(question, answer) is not None
