"""Answers are cleaned and repaired by named steps, and checked for how they ended."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.parse import Answer
from persqa_client.types import Completion, Usage
from tests.answers.helpers import CHINESE_QUESTION, GOOD, QUESTION, find_code, find_problem, make_task, parse_text
from tests.answers.test_readme import README
from tests.support.cases import each_case


@each_case(
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
        pytest.param(f"{GOOD}[1][2]", GOOD, ("citations",), id="citations"),
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
def test_the_steps_that_changed_an_answer_are_named(text: str, answer: str, steps: tuple[str, ...]) -> None:
    assert parse_text(text) == Answer(answer, steps)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("<mam> is tall and thin", "<mam> is tall and thin", id="goes on from it"),
        pytest.param("<mam> is\n<mam> is tall", "<mam> is tall", id="echoes it"),
        pytest.param("<mam> is\nAnswer: <mam> is tall", "<mam> is tall", id="echoes it with a label"),
        pytest.param("Question: <mam> is tall", "<mam> is tall", id="goes on from it behind a label"),
    ],
)
def test_an_unfinished_question_may_begin_its_answer(text: str, cleaned: str) -> None:
    assert parse_text(text, "<mam> is").text == cleaned
    assert find_code(text, "<mam> is") is None


@each_case(
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
def test_how_a_completion_ended_is_checked_before_its_text(
    finish_reason: str | None, refusal: str | None, found: str
) -> None:
    completion = Completion(GOOD, finish_reason, refusal=refusal)
    problem = find_problem(completion, make_task())
    assert problem is not None
    assert problem.code == found


@each_case(
    ("text", "tokens", "max_tokens", "found"),
    [
        pytest.param("<mam> wears a", 64, 64, "truncated", id="full, in mid-sentence"),
        pytest.param("<mam> wears red", 64, None, None, id="unknown limit"),
        pytest.param("<mam> wears red", 63, 64, None, id="tokens left"),
        pytest.param("<mam> wears a hat.", 64, 64, None, id="full, at a sentence's end"),
        pytest.param("<mam> reads “Stay.”", 64, 64, None, id="full, at a quotation's end"),
        pytest.param("<mam>戴着帽子。", 64, 64, None, id="full, at a Chinese sentence's end"),
        pytest.param("<mam>戴着", 64, 64, "truncated", id="full, in a Chinese sentence"),
        pytest.param("<mam> sings" + " la la la" * 30, 64, 64, "loop", id="full of a loop"),
    ],
)
def test_some_truncated_answers_have_the_finish_reason_stop(
    text: str, tokens: int, max_tokens: int | None, found: str | None
) -> None:
    completion = Completion(text, "stop", Usage(9, tokens))
    task = make_task(CHINESE_QUESTION if "戴" in text else QUESTION)
    problem = find_problem(completion, task, max_tokens)
    assert (problem.code if problem else None) == found


def test_a_truncated_loop_is_reported_as_a_loop() -> None:
    completion = Completion("<mam> sings" + " la la la" * 30, "length")
    problem = find_problem(completion, make_task())
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
def test_good_answers_stay_as_they_are(text: str) -> None:
    assert parse_text(text) == Answer(text)
    assert find_code(text) is None


@settings(deadline=None)
@given(GOOD_CHINESE)
def test_good_chinese_answers_stay_as_they_are(text: str) -> None:
    assert parse_text(text, "<mam>在做什么？") == Answer(text)
    assert find_code(text, "<mam>在做什么？") is None


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
def test_parsing_twice_changes_nothing_more(text: str, surrogate: str | None) -> None:
    once = parse_text(text, surrogate=surrogate).text
    assert parse_text(once, surrogate=surrogate) == Answer(once)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join), st.sampled_from([QUESTION, "<mam>在做什么？"]))
def test_any_text_can_be_checked(text: str, question: str) -> None:
    code = find_code(text, question, names=("Ann Lee", "小明"), surrogate="Charlie")
    # The README of the answers lists every code.
    assert code is None or f"`{code}`" in README
