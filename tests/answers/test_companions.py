"""The bare name of another tag of the question is only repaired where it can't be an ordinary word."""

from __future__ import annotations

import pytest

from tests.answers.helpers import parse_text
from tests.support.cases import each_case


@each_case(
    ("question", "raw"),
    [
        ("What does <mam> give to <rose>?", "<mam> looked back and rose slowly."),
        ("What does <mam> give to <rose>?", "<mam> holds a flower with rose petals."),
        ("Is <mam> near <may>?", "<mam> is leaving in May."),
        ("Is <mam> near <may>?", "A man by <mam> and may cry."),
        ("Is <mam> near <grace>?", "<mam> dances with grace."),
        ("Is <mam> near <cat>?", "<mam> plays with cat toys."),
        ("Is <mam> near <can>?", "<mam> is someone who can swim."),
        ("<mam>和<可乐>在做什么？", "<mam>和可乐瓶合影。"),
        ("<mam>和<可乐>在做什么？", "<mam>坐着，桌上有可乐和薯条。"),
        ("<mam>和<小明>在做什么？", "<mam>和小明星合影。"),
        ("<mam>和<小明>在做什么？", "<mam>在小明亮的房间里。"),
        ("<mam>和<小白>在做什么？", "<mam>和小白兔在草地上玩。"),
    ],
)
def test_an_ordinary_word_stays(question: str, raw: str) -> None:
    assert parse_text(raw, question).text == raw


@pytest.mark.parametrize(
    ("question", "raw", "repaired"),
    [
        ("Is <mam> near <rose>?", "<mam> sits near Rose in a park.", "<mam> sits near <rose> in a park."),
        ("Is <mam> near <rose>?", "<mam> and Rose sit here.", "<mam> and <rose> sit here."),
        ("Is <mam> near <may>?", "<mam> is leaving, and May waves.", "<mam> is leaving, and <may> waves."),
        ("<mam>和<小白>在做什么？", "<mam>和小白在草地上玩。", "<mam>和<小白>在草地上玩。"),
    ],
)
def test_a_name_is_repaired(question: str, raw: str, repaired: str) -> None:
    assert parse_text(raw, question).text == repaired
