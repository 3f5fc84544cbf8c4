"""Answers about the red box that was drawn into the picture."""

from __future__ import annotations

from tests.answers.helpers import CHINESE_QUESTION, QUESTION, find_code
from tests.support.cases import each_case

ABOUT_THE_BOX = (
    "<mam> is in the red box.",
    "<mam> wears a coat and stands inside the red rectangle.",
    "<mam>, marked by the red box, wears a green coat.",
    "<mam> is the person in the bounding box who wears a coat.",
    "<mam>在红框里，穿着绿色大衣。",
    "<mam>是红色方框中的人，穿着大衣。",
)
OF_THE_PICTURE = (
    "<mam> holds a red box.",
    "<mam> sits in a red box and wears a collar.",
    "<mam> wears glasses with a red frame.",
    "<mam> is surrounded by a red fence.",
    "<mam> wears a red square scarf.",
    "<mam>戴着红框眼镜。",
    "<mam>拿着一个红色的盒子。",
)


@each_case("text", ABOUT_THE_BOX)
def test_an_answer_about_the_drawn_box_is_rejected(text: str) -> None:
    question = QUESTION if text.isascii() else CHINESE_QUESTION
    assert find_code(text, question, has_drawn_box=True) == "about_the_task"
    assert find_code(text, question) is None


@each_case("text", OF_THE_PICTURE)
def test_red_things_of_the_picture_may_be_told(text: str) -> None:
    question = QUESTION if text.isascii() else CHINESE_QUESTION
    assert find_code(text, question, has_drawn_box=True) is None
