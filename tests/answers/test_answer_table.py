"""The table of raw answers: each is parsed and checked as expected."""

from __future__ import annotations

import pytest

from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.questions.prompts import build_reask_prompt
from persqa_client.questions.tags import can_repair_bare_name
from persqa_client.types import Completion, Task
from tests.answers.answer_cases import Case
from tests.answers.answer_table import CASES
from tests.answers.helpers import find_problem, make_task
from tests.support.cases import each_case

each_answer = each_case("case", [pytest.param(case, id=case.id) for case in CASES])


def task_of(case: Case, names: tuple[str, ...] | None = None) -> Task:
    names = case.names if names is None else names
    return make_task(case.question, case.tag, names=names, repair_bare_name=can_repair_bare_name(case.tag))


@each_answer
def test_each_answer_has_its_expected_result(case: Case) -> None:
    task, completion = task_of(case), Completion(case.raw, case.finish_reason)
    answer = parse_answer(completion, task)
    problem = check_answer(completion, answer, task)
    if case.code is None:
        assert (answer.text, problem) == (case.answer, None)
        assert bool(answer.steps) == (case.answer != case.raw)
    else:
        assert problem is not None, answer
        assert problem.code == case.code, (answer, problem)


@each_answer
def test_parsing_a_parsed_answer_changes_nothing(case: Case) -> None:
    task = task_of(case)
    once = parse_answer(Completion(case.raw, case.finish_reason), task).text
    assert parse_answer(Completion(once, case.finish_reason), task) == Answer(once)


def test_one_list_of_real_names_gives_the_same_results() -> None:
    names = tuple(name for case in CASES for name in case.names)
    for case in CASES:
        problem = find_problem(Completion(case.raw, case.finish_reason), task_of(case, names))
        assert (problem.code if problem else None) == case.code, case.id


@each_case("case", [pytest.param(case, id=case.id) for case in CASES if case.code])
def test_each_problem_has_texts_for_a_person_and_the_model(case: Case) -> None:
    task = task_of(case)
    problem = find_problem(Completion(case.raw, case.finish_reason), task)
    assert problem is not None
    texts = [problem.message]
    if problem.code != "truncated":
        texts.append(build_reask_prompt(task, "", problem)[1].text)
    assert all(texts)
    assert not any(name.lower() in text.lower() for name in case.names for text in texts)


def test_questions_and_ids_of_the_table_are_unique() -> None:
    assert len({case.question for case in CASES}) == len(CASES)
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.tag in case.question for case in CASES)
