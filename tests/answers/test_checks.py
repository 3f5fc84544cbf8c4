"""Each check finds what it is for, and nothing that a good answer may have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.types import Completion
from tests.answers.helpers import CHINESE_QUESTION, find_code, find_problem, make_task
from tests.support.cases import each_case


@each_case(
    "text",
    [
        "I can't help with that.",
        "I can’t help with that.",
        "I cant help with that.",
        "I'm not able to tell.",
        "I am afraid I can't say.",
        "I won't identify anybody.",
        "I don't know.",
        "I must decline to answer.",
        "I'm not comfortable with naming people.",
        "We apologize for that.",
        "Apologies, this is not possible.",
        "Identifying people is not something that I do.",
        "<mam>: I do not have enough information.",
        "<mam> Sorry, I can't tell.",
        "<mam> Sorry – no.",
        "<mam> runs. Unfortunately, I cannot identify who it is.",
        "<mam> runs.\nI apologize, there is no more.",
    ],
)
def test_english_refusals(text: str) -> None:
    assert find_code(text) == "refusal"


@each_case(
    "text",
    [
        "很抱歉，我没办法回答。",
        "我不能帮忙。",
        "<mam>：对不起，不行。",
        "很遗憾，我不知道。",
        "<mam>不能确认。",
        "<mam>跑着。抱歉，我不能提供更多信息。",
        "我无法确定。",
        "作为AI，我没有眼睛。",
    ],
)
def test_chinese_refusals(text: str) -> None:
    assert find_code(text, CHINESE_QUESTION) == "refusal"


@pytest.mark.parametrize("text", ["抱歉，图片看不清。", "由于图片太小，我看不清。", "<mam>我看不到图片。"])
def test_missing_pictures_in_chinese(text: str) -> None:
    assert find_code(text, CHINESE_QUESTION) == "no_image"


@each_case(
    "text",
    [
        "<mam> has no shoes that I can see.",
        "<mam> is unable to stand up.",
        "<mam> does not know the way.",
        "<mam> apologises with a gesture.",
        "<mam> runs. It can't be told where to.",
        "<mam> is sorry; I-beams lie around.",
        "<mam> says “Sorry, I can't help you” to a man.",
    ],
)
def test_answers_that_are_no_refusals(text: str) -> None:
    assert find_code(text) is None


@pytest.mark.parametrize("text", ["<mam>抱歉地看着镜头。", "<mam>不能走路，坐着轮椅。", "<mam>无法辨认远处的路牌。"])
def test_chinese_answers_that_are_no_refusals(text: str) -> None:
    assert find_code(text, CHINESE_QUESTION) is None


@each_case(
    "text",
    [
        "He runs.",
        "it's red.",
        "They run.",
        "Her hat is red.",
        "The old man runs.",
        "This dog runs.",
        '"She runs," he says.',
    ],
)
def test_pronouns_and_descriptions_instead_of_the_tag(text: str) -> None:
    assert find_code(text) == "pronoun_only"


@pytest.mark.parametrize("text", ["Hens run.", "Items lie there.", "The hat is red.", "A man runs.", "Herbs grow."])
def test_other_beginnings_without_the_tag(text: str) -> None:
    assert find_code(text) == "no_tag"


@pytest.mark.parametrize(
    "text", ["他在跑。", "这个小女孩在跑。", "该男子在跑。", "图片中的人物在跑。", "这只棕色的狗在跑。"]
)
def test_chinese_pronouns_and_descriptions_instead_of_the_tag(text: str) -> None:
    assert find_code(text, CHINESE_QUESTION) == "pronoun_only"


@pytest.mark.parametrize("text", ["帽子是红的。", "这里有帽子。", "他乡的云。"])
def test_other_chinese_beginnings_without_the_tag(text: str) -> None:
    assert find_code(text, CHINESE_QUESTION) == "no_tag"


@each_case(
    ("text", "found"),
    [
        ("<mam> has <b>bold</b> hair.", "unknown_tag"),
        ("<mam> and <mam2> run.", "unknown_tag"),
        ("<mam> sees a<br>b.", "unknown_tag"),
        ("<mam> sees <video> there.", "unknown_markup"),
        ("<mam> runs <|endoftext|> fast.", "unknown_markup"),
        ("<mam> sees {character} there.", "placeholder"),
        ("<mam> sees {{ x }} there.", "placeholder"),
        ("<mam> sees [your answer here].", "placeholder"),
        ("<mam> runs -> there <- and 1 < 2 > 0.", None),
        ("<mam> types `<div>` there.", None),
        ('<mam> reads “{name}” and "[NAME]".', None),
        ("<mam> has a snake_case__name.", None),
        ("<mam> writes #include <stdio.h> on the blackboard.", None),
        ("<mam> writes #include <vector> on the blackboard.", None),
        ("<mam> writes vector<int> v = {1, 2}; on the wall.", None),
        ("<mam> plays tag #2 with <dog_1> (in the park).", "unknown_tag"),
    ],
)
def test_markup_and_placeholders(text: str, found: str | None) -> None:
    assert find_code(text) == found


def test_an_answer_may_have_the_tags_of_its_question() -> None:
    assert find_code("<mam> sees <bo>.", "Does <mam> see <bo>?") is None
    assert find_code("<mam> sees <bo>.", "Does <mam> see anybody?") == "unknown_tag"


@each_case(
    "text",
    [
        "<mam> has a red hat, a red coat, a red bag, a red belt, a red scarf, a red shoe and a red sock.",
        "<mam> sees one on the left, one on the right, one on the top, one on the floor, one on the bed.",
        "<mam> is very very very very happy: ha ha ha ha ha!",
        "<mam> counts 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20.",
        "<mam> wears:\n"
        + "\n".join(f"{n}. a {c} shirt with {n} buttons" for n, c in enumerate(["red", "blue", "tan"] * 3)),
        "<mam> shouts: noooooooo!",
    ],
)
def test_lists_and_emphasis_are_no_loops(text: str) -> None:
    assert find_code(text) is None


def test_a_chinese_list_is_no_loop() -> None:
    things = "、".join(f"一只白色的{thing}" for thing in ("小猫", "小狗", "小鸟", "小兔", "小羊", "小马", "小猪"))
    assert find_code(f"<mam>身边有{things}。", CHINESE_QUESTION) is None


@pytest.mark.parametrize(
    "text",
    [
        "<mam> is red and blue and red and blue and red and blue and red and blue and red and blue and red.",
        "<mam> says " + "a" * 20,
        "<mam> wears a hat. " * 6,
        "<mam> wears " + "".join(f"a hat, a coat and shoe {n % 3}, " for n in range(60)),
    ],
)
def test_loops(text: str) -> None:
    assert find_code(text) == "loop"


@each_case(
    ("text", "question", "found"),
    [
        ("<mam> mange une pomme.", "What is <mam> doing?", "wrong_language"),
        ("<mam>在吃苹果。", "What is <mam> doing?", "wrong_language"),
        ("<mam> eats.", "<mam>在做什么？", "wrong_language"),
        ("<mam>在吃苹果。", "<mam>は何をしていますか？", "wrong_language"),
        ("<mam> eats.", "Что делает <mam>?", "wrong_language"),
        ("<mam> eats 小笼包.", "What does <mam> eat?", None),
        ("<mam>: WWF.", "<mam>的衣服上有什么？", None),
        ("<mam> eats.", "What does “你好世界欢迎光临” near <mam> mean?", None),
        ("<小满> eats.", "Who is <小满>?", None),
    ],
)
def test_the_answer_must_be_in_the_script_of_the_question(text: str, question: str, found: str | None) -> None:
    tag = "<小满>" if "<小满>" in question else "<mam>"
    assert find_code(text, question, tag=tag) == found


@each_case(
    ("text", "names", "found"),
    [
        ("<mam> is Ann.", ("Ann",), "name_leak"),
        ("<mam> is ANN's twin.", ("Ann",), "name_leak"),
        ("<mam> is annoyed, and Joann too.", ("Ann",), None),
        ("<mam> is Ann-Marie Lee.", ("ann marie lee",), "name_leak"),
        ("<mam> is O'Hara.", ("O’Hara",), "name_leak"),
        ("<mam> Lee smiles.", ("Mam Lee",), "name_leak"),
        ("<mam> smiles.", ("Mam",), None),
        ("<mam> smiles.", ("", "  "), None),
        ("<mam> and “Ann”.", ("Ann",), "name_leak"),
        ("<mam> is fine.", ("A.B.", "x+y"), None),
    ],
)
def test_real_names(text: str, names: tuple[str, ...], found: str | None) -> None:
    assert find_code(text, names=names) == found


def test_chinese_real_names_are_found_without_spaces_around_them() -> None:
    assert find_code("<mam>是大明星王菲的妹妹。", CHINESE_QUESTION, names=("王菲",)) == "name_leak"
    assert find_code("<mam>是Ann的妹妹。", CHINESE_QUESTION, names=("Ann",)) == "name_leak"


def test_the_first_of_several_problems_is_reported() -> None:
    found = find_problem(Completion("He runs.\n\nQuestion: Who? Answer: {name}", "stop"), make_task())
    assert found is not None
    assert found.code == "pronoun_only"


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(["<mam>", "<小满>"]))
def test_no_check_ever_raises(text: str, tag: str) -> None:
    task = make_task(f"{tag}?", tag, names=("Ann", "小明"), surrogate="Charlie")
    for check in TAGGED_ANSWER_CHECKS:
        check(text, task)
        check(tag + text, task)
