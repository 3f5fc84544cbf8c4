"""A name that is written on something does not become the tag, and what surrounds an answer is told from its text."""

from __future__ import annotations

import pytest

from tests.answers.helpers import find_code, parse_text
from tests.support.cases import each_case


@each_case(
    "raw",
    [
        '"<mam>" is written on the mug.',
        "「<mam>」写在杯子上。",
        "“<mam>”在杯子上写着。",
        "mam三个字写在杯子上。",
        "Mam está escrito en la taza.",
        "Mam est écrit sur la tasse.",
        "Mam ist auf der Tasse geschrieben.",
        "Mam написано на чашке.",
        "Mam está escrito na caneca.",
        "Mam مكتوب على الكوب.",
        "mamと書かれたカップがあります。",
        "mam이 컵에 적혀 있습니다.",
        "Mam and the Chocolate Factory is on the table.",
    ],
)
def test_a_name_that_is_written_stays(raw: str) -> None:
    assert parse_text(raw).text == raw
    assert find_code(raw) == "no_tag"


@pytest.mark.parametrize(
    "raw",
    [
        '"Charlie" is written on the mug.',
        "Charlie está escrito na caneca.",
        "Charlie and the Big Show is on the table.",
    ],
)
def test_a_surrogate_that_is_written_stays(raw: str) -> None:
    assert parse_text(raw, surrogate="Charlie").text == raw


def test_a_name_beside_others_is_no_title() -> None:
    assert parse_text("Charlie and the Eiffel Tower are here.", surrogate="Charlie").text.startswith("<mam> and the")


@each_case(
    ("raw", "text"),
    [
        ("`<mam>` types `a` and `b`.", "<mam> types `a` and `b`."),
        ("<mam> holds a card saying\nI hope this helps!", "<mam> holds a card saying\nI hope this helps!"),
        ("<mam> holds a card.\nI hope this helps!", "<mam> holds a card."),
        (r"\boxed{<mam> walks {home}}", "<mam> walks {home}"),
        (r"\boxed{\text{<mam> walks}}", "<mam> walks"),
        (r"\boxed{<mam>} and {<mam> walks}", r"\boxed{<mam>} and {<mam> walks}"),
        ("'<mam>' hat is red'", "'<mam>' hat is red'"),
        ('<mam> reads "</think>" and runs.', '<mam> reads "</think>" and runs.'),
        ('{"answer": "<mam> walks", "answer": "no"}', '{"answer": "<mam> walks", "answer": "no"}'),
        ("\u200f<mam> is walking.", "<mam> is walking."),
        ("<mam>\u200b is walking.", "<mam> is walking."),
        ("<\u200bmam\u200f> is walking.", "<mam> is walking."),
        ("<mam >walks home.", "<mam> walks home."),
        ("<mam >은 걷는다.", "<mam>은 걷는다."),
    ],
)
def test_marks_around_an_answer_are_told_from_its_own(raw: str, text: str) -> None:
    assert parse_text(raw).text == text
    assert parse_text(text).text == text


def test_a_lone_surrogate_is_broken() -> None:
    assert find_code("<mam> is \ud83d walking.") == "server_residue"
