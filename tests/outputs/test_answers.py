"""Answers are cleaned and repaired where that is sure, and judged by what they then say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.outputs.answers import Answer, clean, judge, read_answer, repair_tag
from persqa_client.outputs.checks import TAGGED_ANSWER
from persqa_client.types import Ask, Completion, Unit

QUESTION = "What is <mam> wearing?"
ASK = Ask(Unit(1), "attribute", "<mam>", QUESTION, "s", "p", TAGGED_ANSWER, 0)
GOOD = "<mam> wears a blue jacket."


def outcome(text: str, finish_reason: str | None = "stop", refusal: str | None = None) -> tuple[Answer, str | None]:
    completion = Completion(text, finish_reason, refusal=refusal)
    answer = read_answer(completion, ASK)
    problem = judge(completion, answer, ASK)
    return answer, problem.code if problem else None


@pytest.mark.parametrize(
    ("text", "answer", "steps"),
    [
        pytest.param(GOOD, GOOD, (), id="good as it is"),
        pytest.param(f"  {GOOD}\n", GOOD, (), id="white space"),
        pytest.param("<mam>'s jacket is blue.", "<mam>'s jacket is blue.", (), id="possessive"),
        pytest.param("<mam>的外套是蓝色的。", "<mam>的外套是蓝色的。", (), id="Chinese"),
        pytest.param(f"<think>A man…</think>\n{GOOD}", GOOD, ("cleaning",), id="thinking"),
        pytest.param(f"```\n{GOOD}\n```", GOOD, ("cleaning",), id="fence"),
        pytest.param(f"```text\n{GOOD}\n```", GOOD, ("cleaning",), id="fence with a language"),
        pytest.param(f'"{GOOD}"', GOOD, ("cleaning",), id="quotes"),
        pytest.param(f"“{GOOD}”", GOOD, ("cleaning",), id="curly quotes"),
        pytest.param(f"Answer: {GOOD}", GOOD, ("cleaning",), id="label"),
        pytest.param("回答：<mam>穿着外套。", "<mam>穿着外套。", ("cleaning",), id="Chinese label"),
        pytest.param(f"Question: {QUESTION}\nAnswer: {GOOD}", GOOD, ("cleaning",), id="echoed question"),
        pytest.param(f"{QUESTION} {GOOD}", GOOD, ("cleaning",), id="echoed bare question"),
        pytest.param(f"<mam> hmm, she wants… </think>\n\n{GOOD}", GOOD, ("cleaning",), id="end of a thought alone"),
        pytest.param(f"{GOOD}<|im_end|>", GOOD, ("cleaning",), id="end of a ChatML turn"),
        pytest.param(f"{GOOD}</s>\n<|eot_id|>", GOOD, ("cleaning",), id="ends of two templates"),
        pytest.param(f"**{GOOD}**", GOOD, ("repair",), id="all in bold"),
        pytest.param("**<mam> wears** a hat.", "<mam> wears a hat.", ("repair",), id="beginning in bold"),
        pytest.param("**Mam wears** a **red** hat.", "<mam> wears a **red** hat.", ("repair",), id="bare in bold"),
        pytest.param("&lt;mam&gt; wears a hat.", "<mam> wears a hat.", ("repair",), id="escaped for HTML"),
        pytest.param("**<mam>** wears a hat.", "<mam> wears a hat.", ("repair",), id="bold"),
        pytest.param("`<mam>` wears a hat.", "<mam> wears a hat.", ("repair",), id="backticks"),
        pytest.param("＜mam＞ wears a hat.", "<mam> wears a hat.", ("repair",), id="full width"),
        pytest.param("《mam》戴着帽子。", "<mam>戴着帽子。", ("repair",), id="book marks"),
        pytest.param("< mam > wears a hat.", "<mam> wears a hat.", ("repair",), id="spaces"),
        pytest.param("<Mam> wears a hat.", "<mam> wears a hat.", ("repair",), id="case"),
        pytest.param("Mam wears a hat.", "<mam> wears a hat.", ("repair",), id="bare"),
        pytest.param("mam's hat is red.", "<mam>'s hat is red.", ("repair",), id="bare possessive"),
        pytest.param("mam戴着帽子。", "<mam>戴着帽子。", ("repair",), id="bare before Chinese"),
    ],
)
def test_what_can_be_made_good_is_and_says_how(text: str, answer: str, steps: tuple[str, ...]) -> None:
    assert outcome(text) == (Answer(answer, steps), None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param(" … ", "empty", id="no word"),
        pytest.param("The man wears a hat.", "no_tag", id="subject phrase"),
        pytest.param("Mammals are rare.", "no_tag", id="a word that begins like the tag"),
        pytest.param("He is <mam>.", "no_tag", id="tag not first"),
        pytest.param("<mam>", "only_tag", id="tag alone"),
        pytest.param("<mam>'s", "only_tag", id="possessive alone"),
        pytest.param("<mam>.", "only_tag", id="tag and a stop"),
        pytest.param("I'm sorry, I can't help with that.", "refusal", id="refusal"),
        pytest.param("I’m sorry, but I can’t identify people.", "refusal", id="curly refusal"),
        pytest.param("<mam> I cannot identify this person.", "refusal", id="refusal behind the tag"),
        pytest.param("<mam> I can't see any person.", "refusal", id="sees nobody"),
        pytest.param("<mam>I cannot see the picture.", "refusal", id="sees no picture"),
        pytest.param("<mam> Sorry, I can't tell.", "refusal", id="sorry"),
        pytest.param("Unfortunately, I am unable to say.", "refusal", id="unfortunately"),
        pytest.param("<mam>我看不到图片。", "refusal", id="sees no picture, in Chinese"),
        pytest.param("<mam> <mam> <mam>", "only_tag", id="tags alone"),
        pytest.param("<mam>: <mam>'s", "only_tag", id="tag and its possessive"),
        pytest.param("<mam>The man wears a coat.</mam>", "unknown_markup", id="tag taken for XML"),
        pytest.param("<mam> wears<|im_end|>\n<|im_start|>user", "unknown_markup", id="template within"),
        pytest.param(f"{GOOD}</s> <mam> is old.", "unknown_markup", id="end of a turn within"),
        pytest.param(f"{GOOD}\n\nQuestion: Who is it? Answer: A man.", "echo", id="goes on asking"),
        pytest.param(f"{GOOD} Question: Who is it? Answer: A man.", "echo", id="goes on asking on the line"),
        pytest.param(f"{GOOD}\n**Answer:** red", "echo", id="answers again"),
        pytest.param("对不起，我无法识别图中的人。", "refusal", id="Chinese refusal"),
        pytest.param("无法识别图中的人物。", "refusal", id="short Chinese refusal"),
    ],
)
def test_what_is_no_answer_has_a_code(text: str, code: str) -> None:
    assert outcome(text)[1] == code


@pytest.mark.parametrize(
    ("finish_reason", "refusal", "code"),
    [
        ("length", None, "truncated"),
        ("content_filter", None, "content_filter"),
        ("abort", None, "unfinished"),
        ("tool_calls", None, "unfinished"),
        (None, None, "unfinished"),
        ("stop", "No.", "refusal"),
    ],
)
def test_how_an_answer_ended_counts_before_what_it_says(
    finish_reason: str | None, refusal: str | None, code: str
) -> None:
    assert outcome(GOOD, finish_reason, refusal)[1] == code


@pytest.mark.parametrize(
    "text",
    [
        "<mam> looks sorry about the broken cup.",
        "<mam>看起来很抱歉。",
        "<mam> can help carrying the box, it seems.",
        "<mam> works as an AI engineer at a desk.",
        '<mam> holds a sign that says "I\'m sorry".',
        "<mam> says: I cannot see you.",
        "<mam>无法看清远处的字。",
    ],
)
def test_a_good_answer_with_the_words_of_a_refusal_is_none(text: str) -> None:
    assert outcome(text)[1] is None


@given(st.text(max_size=60), st.sampled_from(["<mam>", "<bo>", "<小满>"]))
def test_repair_is_idempotent_and_leaves_good_answers_alone(text: str, tag: str) -> None:
    once = repair_tag(text, tag)
    assert repair_tag(once, tag) == once
    assert repair_tag(tag + text, tag) == tag + text


@given(st.text(max_size=60).filter(lambda text: "mam" not in text.lower()))
def test_repair_never_names_who_is_not_named(text: str) -> None:
    assert "<mam>" not in repair_tag(text, "<mam>")


def test_a_short_name_without_brackets_is_a_word_not_a_tag() -> None:
    assert repair_tag("A man stands here.", "<a>") == "A man stands here."


@given(st.text(max_size=40))
def test_cleaning_a_good_answer_changes_nothing(text: str) -> None:
    good = f"<mam> {text.strip()}."
    assert clean(good, QUESTION, "<mam>") == good


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
    assert clean(text, "<mam> is", "<mam>") == cleaned
