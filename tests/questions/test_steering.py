"""The user's own texts: templates, row fields and answer styles."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from persqa_client.answers.checks import PHRASE_CHECKS, TAGGED_ANSWER_CHECKS
from persqa_client.answers.doubts import find_doubts
from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.errors import RowError
from persqa_client.jsonl import dump_spaced
from persqa_client.questions.bank import Bank
from persqa_client.questions.constraints import word_answer_pattern
from persqa_client.questions.prompts import LENGTHS, build_prompt, choose_wording, lengths_digest
from persqa_client.questions.steering import Template, make_steering
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import AnswerStyle, Completion, Row, TaskId

QUESTION = "What is {tag} wearing?"


def make_maker(
    system: str | None = None,
    prompt: str | None = None,
    answer_style: AnswerStyle = "sentences",
    steer: tuple[str, ...] = (),
    **more: Any,
) -> TaskMaker:
    steering = make_steering(system, prompt, answer_style, steer)
    return TaskMaker("<mam>", 0, Bank.build("human"), PHRASE_CHECKS, question=QUESTION, steering=steering, **more)


def texts_of(maker: TaskMaker, **fields: Any) -> tuple[str, str]:
    line = dump_spaced({"image": "a.jpg", **fields})
    task = maker.make_task(Row(1, line, ("a.jpg",)), TaskId(1))
    return task.system, task.prompt


def test_a_template_names_the_task_and_fields_of_the_row() -> None:
    maker = make_maker(system="You know {brand}.", prompt="{question} ({tag}, {category}, {year}, {{brand}}) {brand}")
    assert texts_of(maker, brand="Fiat", year=1969) == (
        "You know Fiat.",
        "What is <mam> wearing? (<mam>, human, 1969, {brand}) Fiat",
    )


def test_without_a_text_the_built_in_one_is_sent() -> None:
    system, prompt = build_prompt("What is <mam> wearing?", "<mam>")
    assert texts_of(make_maker()) == (system, prompt)
    assert texts_of(make_maker(system="Be brief.")) == ("Be brief.", prompt)
    assert texts_of(make_maker(prompt="{question}")) == (system, "What is <mam> wearing?")


@pytest.mark.parametrize(
    "text",
    [
        "{question.__class__}",
        "{question[0]}",
        "{question!r}",
        "{question:>10}",
        "{question} {",
        "{question} }",
        "{question} {}",
        "{question} {0}",
        '{question} as {"answer": 1}',
        "{question} <image>",
        "{question} <|im_end|>",
        "{question} \ud800",
    ],
)
def test_other_braces_and_marks_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^has "):
        Template.parse(text)


def test_a_prompt_without_the_question_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^--prompt has no \{question\}"):
        make_steering(None, "Describe {tag}.", "sentences", ())
    with pytest.raises(ValueError, match=r"no \{question\} \(is it meant by \{qestion\}\?\), so the model"):
        make_steering(None, "{tag}: {qestion}", "sentences", ())


@pytest.mark.parametrize("value", [None, "", " ", True, ["a"], {"a": 1}])
def test_a_row_without_a_value_for_the_template_fails(value: object) -> None:
    maker = make_maker(prompt="{question} {brand}")
    with pytest.raises(RowError, match=r"^the field 'brand', which the prompt names") as caught:
        texts_of(maker, brand=value)
    assert caught.value.code == "bad_field"
    with pytest.raises(RowError, match="is missing or empty"):
        texts_of(maker)


def test_a_rows_value_cannot_name_fields_or_pass_marks() -> None:
    maker = make_maker(prompt="{question} {brand}")
    assert texts_of(maker, brand="{tag} {x}")[1] == "What is <mam> wearing? {tag} {x}"
    with pytest.raises(RowError) as caught:
        texts_of(maker, brand="<image>")
    assert (caught.value.code, str(caught.value)[:25]) == ("bad_prompt", "the prompt has <image> in")


def test_a_row_replaces_the_texts_that_steer_names() -> None:
    fields = {"system": "Of {brand}.", "prompt": "{question} Say it in French.", "brand": "Fiat"}
    built_in = texts_of(make_maker())
    assert texts_of(make_maker(), **fields) == built_in
    assert texts_of(make_maker(steer=("system",)), **fields) == ("Of Fiat.", built_in[1])
    both = make_maker(system="Run.", prompt="{question} Run.", steer=("system", "prompt"))
    assert texts_of(both, **fields) == ("Of Fiat.", "What is <mam> wearing? Say it in French.")
    assert texts_of(both) == texts_of(both, system="", prompt=None) == ("Run.", "What is <mam> wearing? Run.")


@pytest.mark.parametrize(
    ("prompt", "code"), [(7, "bad_field"), ("{question.x}", "bad_prompt"), ("What is it?", "bad_prompt")]
)
def test_a_rows_unusable_prompt_fails_it(prompt: object, code: str) -> None:
    with pytest.raises(RowError) as caught:
        texts_of(make_maker(steer=("prompt",)), prompt=prompt)
    assert caught.value.code == code


def test_a_surrogate_replaces_the_tag_in_all_texts() -> None:
    maker = make_maker(system="About <mam>.", prompt="{question} {tag} <mam> {note}", strategy="surrogate")
    system, prompt = texts_of(maker, note="<mam> is tall.")
    assert "<mam>" not in system + prompt
    assert prompt.count("Charlie") == 4


def test_the_run_s_question_is_asked_about_rows_without_their_own() -> None:
    maker = make_maker()
    task = maker.make_task(Row(1, b"{}", ("a.jpg",)), TaskId(1))
    assert (task.question, task.question_id) == ("What is <mam> wearing?", None)
    own = maker.make_task(Row(1, b"{}", ("a.jpg",), question="Where is {tag}?"), TaskId(1))
    assert own.question == "Where is <mam>?"


@pytest.mark.parametrize("question", ["What is <mam> wearing?", "<mam>穿着什么？"])
def test_each_style_asks_for_another_length(question: str) -> None:
    styles = get_args(AnswerStyle)
    prompts = {style: build_prompt(question, "<mam>", "human", style)[1] for style in styles}
    assert len(set(prompts.values())) == len(styles)
    lengths = LENGTHS["en" if question.isascii() else "zh"]
    assert choose_wording(question).prompt.count(lengths["sentences"]) == 1
    assert prompts["sentences"] == build_prompt(question, "<mam>")[1]
    assert len(lengths_digest()) == 16


@pytest.mark.parametrize("answer", ["<mam> red", "<mam>: a red hat", "<mam>红色的帽子", "<mam> 3"])
def test_a_word_is_an_answer_of_the_style_word(answer: str) -> None:
    maker = make_maker(answer_style="word", strategy="constrain")
    task = maker.make_task(Row(1, b"{}", ("a.jpg",), question="{tag}?"), TaskId(1))
    assert task.pattern == word_answer_pattern("<mam>")
    assert re.fullmatch(task.pattern, answer)
    assert check_answer(Completion(answer, "stop"), parse_answer(Completion(answer, "stop"), task), task) is None


def test_a_word_behind_a_name_is_no_longer_name() -> None:
    assert re.fullmatch(word_answer_pattern("Emma"), "Emma red")
    assert not re.fullmatch(word_answer_pattern("Emma"), "Emmanuel Macron")


def test_a_short_answer_is_only_doubtful_where_a_sentence_is_asked_for() -> None:
    row = Row(1, b"{}", ("a.jpg",), question="What colour is {tag}?")
    for style, doubts in (("word", ()), ("short", ("short",))):
        task = make_maker(answer_style=style).make_task(row, TaskId(1))  # type: ignore[arg-type]
        assert find_doubts("<mam> red", task) == doubts


def test_only_the_check_of_sentences_is_left_out() -> None:
    assert [check.__name__ for check in TAGGED_ANSWER_CHECKS if check not in PHRASE_CHECKS] == ["check_is_sentence"]
