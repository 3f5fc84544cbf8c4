"""Which answers are nearly alike: of the same question or pictures, of one run, and without chains."""

from __future__ import annotations

import random

import pytest

from persqa_client.report.near_duplicates import ComparedAnswer, group_answers, list_group_sizes

COAT = "is wearing a long red coat and stands in front of a stone wall near the harbour."


def answer(text: str, *, run: int = 0, question: int = 0, pictures: tuple[int, ...] = ()) -> ComparedAnswer:
    return ComparedAnswer(run, question, pictures, text)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        pytest.param(COAT, True, id="the same"),
        pytest.param(COAT.upper().replace(".", "!"), True, id="case and punctuation"),
        pytest.param(COAT.replace("long", "dark"), True, id="a word"),
        pytest.param("At dawn, " + COAT, True, id="a beginning"),
        pytest.param("sits on a bench and reads a newspaper under an old tree.", False, id="another answer"),
        pytest.param(COAT[:40], False, id="a half"),
    ],
)
def test_answers_to_a_question_are_compared(other: str, alike: bool) -> None:
    assert group_answers([answer(COAT), answer(other)]) == ([1, 1] if alike else [0, 0])


def test_chinese_answers_are_compared() -> None:
    texts = [
        "穿着一件红色的长外套，站在海港边的一堵石墙前面。",
        "穿着一件红色的长外套，站在海港边的一堵砖墙前面。",
        "坐在树下看报纸。",
    ]
    assert group_answers([answer(text) for text in texts]) == [1, 1, 0]


def test_answers_to_different_questions_are_compared_if_they_are_about_the_same_pictures() -> None:
    same = [answer(COAT, question=number, pictures=(7, 8)) for number in range(2)]
    assert group_answers(same) == [1, 1]
    assert group_answers([answer(COAT, question=number, pictures=(number,)) for number in range(2)]) == [0, 0]
    assert group_answers([answer(COAT, question=number) for number in range(2)]) == [0, 0]


def test_answers_of_different_runs_are_not_compared() -> None:
    assert group_answers([answer(COAT, run=run, pictures=(1,)) for run in range(2)]) == [0, 0]


def test_small_differences_do_not_join_all_answers() -> None:
    """Each answer is like the one before, but not like the first one."""
    words = COAT.split()
    texts = [" ".join([*words[:n], *("other" for _ in words[n:])]) for n in range(len(words), 0, -1)]
    groups = group_answers([answer(text) for text in texts])
    assert groups[0] == groups[1] == 1
    assert len(set(groups)) > 3


def test_groups_are_numbered_in_order_and_failures_have_none() -> None:
    answers = [
        answer("alone in a boat"),
        None,
        answer(COAT),
        answer("is a cup"),
        answer("is a cup"),
        answer(COAT),
        None,
    ]
    groups = group_answers(answers)
    assert groups == [0, 0, 1, 2, 2, 1, 0]
    assert list_group_sizes(groups) == [2, 2]
    assert list_group_sizes([0, 0]) == list_group_sizes([]) == []


def test_most_near_duplicates_are_found_among_many() -> None:
    rng = random.Random(3)
    words = [f"word{number}" for number in range(500)]
    texts = [" ".join(rng.choices(words, k=16)) for _ in range(1000)]
    changed = [" ".join([*text.split()[:5], "other", *text.split()[6:]]) for text in texts]
    groups = group_answers([answer(text) for text in (*texts, *changed)])
    found = sum(one == other != 0 for one, other in zip(groups[:1000], groups[1000:], strict=True))
    assert found > 970
