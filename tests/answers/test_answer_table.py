"""The table of raw answers, read and judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.questions.prompts import build_prompt, build_reask_prompt
from persqa_client.questions.tags import means_the_tag
from persqa_client.types import Completion, Task, TaskId
from tests.answers.answer_cases import Case
from tests.answers.answer_table import CASES


def ask_of(case: Case) -> Task:
    system, prompt = build_prompt(case.question, case.tag)
    return Task(
        task_id=TaskId(1),
        kind="attribute",
        tag=case.tag,
        question=case.question,
        system=system,
        prompt=prompt,
        checks=TAGGED_ANSWER_CHECKS,
        seed=0,
        names=case.names,
        repair_bare_name=means_the_tag(case.tag),
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_each_raw_answer_comes_to_what_it_is_worth(case: Case) -> None:
    ask, completion = ask_of(case), Completion(case.raw, case.finish_reason)
    answer = parse_answer(completion, ask)
    problem = check_answer(completion, answer, ask)
    if case.code is None:
        assert (answer.text, problem) == (case.answer, None)
        assert bool(answer.made_good_by) == (case.answer != case.raw)
    else:
        assert problem is not None, answer
        assert problem.code == case.code, (answer, problem)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_reading_what_was_read_changes_nothing(case: Case) -> None:
    ask = ask_of(case)
    once = parse_answer(Completion(case.raw, case.finish_reason), ask).text
    assert parse_answer(Completion(once, case.finish_reason), ask) == Answer(once)


def test_one_list_of_names_serves_the_whole_table() -> None:
    names = tuple(name for case in CASES for name in case.names)
    for case in CASES:
        ask, completion = replace(ask_of(case), names=names), Completion(case.raw, case.finish_reason)
        problem = check_answer(completion, parse_answer(completion, ask), ask)
        assert (problem.code if problem else None) == case.code, case.id


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if case.code])
def test_each_problem_has_texts_for_a_person_and_the_model(case: Case) -> None:
    ask, completion = ask_of(case), Completion(case.raw, case.finish_reason)
    problem = check_answer(completion, parse_answer(completion, ask), ask)
    assert problem is not None
    texts = [problem.message]
    if problem.code != "truncated":
        texts.append(build_reask_prompt(ask, "", problem)[1].text)
    assert all(texts)
    assert not any(name.lower() in text.lower() for name in case.names for text in texts)


def test_the_table_can_be_played_by_question() -> None:
    assert len({case.question for case in CASES}) == len(CASES)
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.tag in case.question for case in CASES)
