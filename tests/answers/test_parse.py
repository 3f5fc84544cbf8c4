"""Answers are cleaned and repaired where that is sure, each step by its name, and judged by how they ended."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.types import Completion, Usage
from tests.answers.asking import GOOD, QUESTION, ask, code, read


@pytest.mark.parametrize(
    ("text", "answer", "steps"),
    [
        pytest.param(GOOD, GOOD, (), id="good as it is"),
        pytest.param(f"  {GOOD}\n", GOOD, (), id="white space"),
        pytest.param(f"\ufeff{GOOD}\u200b", GOOD, (), id="white space of no width"),
        pytest.param(f"<think>A man…</think>\n{GOOD}", GOOD, ("thinking",), id="thinking"),
        pytest.param(f"```\n{GOOD}\n```", GOOD, ("fence",), id="fence"),
        pytest.param(f'{{"answer": "{GOOD}"}}', GOOD, ("json",), id="object"),
        pytest.param(f"“{GOOD}”", GOOD, ("quotes",), id="quotes"),
        pytest.param(f"Answer: {GOOD}", GOOD, ("label",), id="label"),
        pytest.param(f"Sure! {GOOD}", GOOD, ("preamble",), id="preamble"),
        pytest.param(f"{GOOD} I hope this helps!", GOOD, ("postamble",), id="postamble"),
        pytest.param(f"> {GOOD}", GOOD, ("bullet",), id="bullet"),
        pytest.param(f"Question: {QUESTION}\nAnswer: {GOOD}", GOOD, ("echo", "label"), id="echoed question"),
        pytest.param(f"{GOOD}<|im_end|>", GOOD, ("template",), id="end of a turn"),
        pytest.param("&lt;mam&gt; wears a hat.", "<mam> wears a hat.", ("tag_html",), id="escaped for HTML"),
        pytest.param("＜mam＞ wears a hat.", "<mam> wears a hat.", ("tag_fullwidth",), id="full width"),
        pytest.param("[mam] wears a hat.", "<mam> wears a hat.", ("tag_brackets",), id="other brackets"),
        pytest.param("**<mam>** wears a hat.", "<mam> wears a hat.", ("tag_marks",), id="bold"),
        pytest.param("<Mam> wears a hat.", "<mam> wears a hat.", ("tag_case",), id="case"),
        pytest.param("< mam > wears a hat.", "<mam> wears a hat.", ("tag_spaces",), id="spaces"),
        pytest.param("<<mam>> wears a hat.", "<mam> wears a hat.", ("tag_doubled",), id="doubled brackets"),
        pytest.param("<mam> <mam> wears a hat.", "<mam> wears a hat.", ("tag_doubled",), id="doubled"),
        pytest.param("<mam></mam> wears a hat.", "<mam> wears a hat.", ("tag_closed",), id="closed"),
        pytest.param("<mam's> hat is red.", "<mam>'s hat is red.", ("tag_possessive",), id="possessive within"),
        pytest.param("<mam wears a hat.", "<mam> wears a hat.", ("tag_half",), id="half"),
        pytest.param("Mam wears a hat.", "<mam> wears a hat.", ("tag_bare",), id="bare"),
        pytest.param("**Mam wears** a hat.", "<mam> wears a hat.", ("tag_bare", "tag_marks"), id="bare in bold"),
    ],
)
def test_each_step_is_told_by_its_name(text: str, answer: str, steps: tuple[str, ...]) -> None:
    assert read(text) == Answer(answer, steps)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("<mam> is tall and thin", "<mam> is tall and thin", id="goes on from it"),
        pytest.param("<mam> is\n<mam> is tall", "<mam> is tall", id="echoes it"),
        pytest.param("<mam> is\nAnswer: <mam> is tall", "<mam> is tall", id="echoes it with a label"),
        pytest.param("Question: <mam> is tall", "<mam> is tall", id="goes on from it behind a label"),
    ],
)
def test_a_question_that_is_no_sentence_may_begin_its_answer(text: str, cleaned: str) -> None:
    assert read(text, "<mam> is").text == cleaned
    assert code(text, "<mam> is") is None


@pytest.mark.parametrize(
    ("finish_reason", "refusal", "found"),
    [
        ("length", None, "truncated"),
        ("content_filter", None, "content_filter"),
        ("abort", None, "unfinished"),
        ("tool_calls", None, "unfinished"),
        (None, None, "unfinished"),
        ("stop", "No.", "refusal"),
        ("length", "No.", "refusal"),
    ],
)
def test_how_an_answer_ended_counts_before_what_it_says(
    finish_reason: str | None, refusal: str | None, found: str
) -> None:
    completion = Completion(GOOD, finish_reason, refusal=refusal)
    problem = check_answer(completion, parse_answer(completion, ask()), ask())
    assert problem is not None
    assert problem.code == found


@pytest.mark.parametrize(
    ("text", "tokens", "room", "found"),
    [
        pytest.param("<mam> wears a", 64, 64, "truncated", id="full, in mid-sentence"),
        pytest.param("<mam> wears a", 64, None, None, id="of unknown room"),
        pytest.param("<mam> wears a", 63, 64, None, id="room left"),
        pytest.param("<mam> wears a hat.", 64, 64, None, id="full, at a sentence's end"),
        pytest.param("<mam> reads “Stay.”", 64, 64, None, id="full, at a quotation's end"),
        pytest.param("<mam>戴着帽子。", 64, 64, None, id="full, at a Chinese sentence's end"),
        pytest.param("<mam>戴着", 64, 64, "truncated", id="full, in a Chinese sentence"),
        pytest.param("<mam> sings" + " la la la" * 30, 64, 64, "loop", id="full of a loop"),
    ],
)
def test_some_servers_hide_that_they_cut(text: str, tokens: int, room: int | None, found: str | None) -> None:
    completion = Completion(text, "stop", Usage(9, tokens))
    asked = ask("<mam>戴着什么？" if "戴" in text else QUESTION)
    problem = check_answer(completion, parse_answer(completion, asked), asked, room)
    assert (problem.code if problem else None) == found


def test_a_loop_is_not_given_more_room() -> None:
    completion = Completion("<mam> sings" + " la la la" * 30, "length")
    problem = check_answer(completion, parse_answer(completion, ask()), ask())
    assert problem is not None
    assert problem.code == "loop"


SUBJECTS = st.sampled_from(["<mam>", "<mam>'s hat", "<mam>’s red bag", "<mam>, on the left,"])
VERBS = st.sampled_from(
    ["wears", "looks at", "holds a sign that says", "(it seems) carries", "can't see", "has 3 < 5 of", "is near <3 and"]
)
OBJECTS = st.sampled_from(
    [
        "a hat",
        "“mam”",
        '"I\'m sorry"',
        "a **red** car",
        "the letters MAM",
        "a mam-shaped cake",
        "R&amp;B",
        "“你好”",
        "mammals",
    ]
)
ENDS = st.sampled_from(["", ".", "!", "; it rains.", ", and <mam> smiles.", ".\n\nThe sky is grey."])
GOOD_ANSWERS = st.builds(
    lambda subject, verb, thing, end: f"{subject} {verb} {thing}{end}", SUBJECTS, VERBS, OBJECTS, ENDS
)
GOOD_CHINESE = st.builds(
    lambda subject, verb, thing, end: f"{subject}{verb}{thing}{end}",
    st.sampled_from(["<mam>", "<mam>的朋友", "<mam>，在左边，"]),
    st.sampled_from(["拿着", "看不清", "穿着Nike的", "旁边有3只", "举着牌子，上面写着"]),
    st.sampled_from(["帽子", "写着「mam」的杯子", "“对不起，我不能”", "《红楼梦》", "iPhone 15 Pro"]),
    st.sampled_from(["", "。", "！", "，<mam>笑了。", "。\n天是灰的。"]),
)


@settings(deadline=None)
@given(GOOD_ANSWERS)
def test_a_good_answer_stays_as_it_is(text: str) -> None:
    assert read(text) == Answer(text)
    assert code(text) is None


@settings(deadline=None)
@given(GOOD_CHINESE)
def test_a_good_chinese_answer_stays_as_it_is(text: str) -> None:
    assert read(text, "<mam>在做什么？") == Answer(text)
    assert code(text, "<mam>在做什么？") is None


PIECES = st.sampled_from(
    [
        "<mam>",
        "mam",
        "Mam",
        "<",
        ">",
        "&lt;",
        "&gt;",
        "＜",
        "》",
        "*",
        "**",
        "`",
        '"',
        "'",
        "“",
        "”",
        "</mam>",
        "'s",
        " ",
        "\n",
        ": ",
        "Answer:",
        "```",
        "</think>",
        "</s>",
        "{",
        "}",
        "- ",
        "Sure, ",
        "The ",
        "好的，",
        QUESTION,
        "/",
        "\\",
        "Charlie",
        "A man",
        "他",
        "red",
        ".",
        "Let me know",
        '{"answer": "',
        "[",
        "]",
        "the ",
        "_",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join), st.sampled_from([None, "Charlie"]))
def test_what_was_read_once_is_read_as_it_is(text: str, surrogate: str | None) -> None:
    once = read(text, surrogate=surrogate).text
    assert read(once, surrogate=surrogate) == Answer(once)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join), st.sampled_from([QUESTION, "<mam>在做什么？"]))
def test_anything_can_be_judged(text: str, question: str) -> None:
    code(text, question, names=("Ann Lee", "小明"), surrogate="Charlie")
