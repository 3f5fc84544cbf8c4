"""Questions and seeds depend on the seed, id, pictures and number, and on nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import pytest

from persqa_client.errors import RowError
from persqa_client.questions.bank import Bank, Question
from persqa_client.questions.tasks import TaskMaker, choose_question, request_seed, row_digest
from persqa_client.types import Row, TaskId

BANK = Bank.build("human").questions("human", "en")
FEW = tuple(Question(id=f"q{n}", text=f"What about {n} and {{tag}}?") for n in range(24))
IMAGES = [f"photos/{n}.jpg" for n in range(2000)]


def row(image: str = "a.jpg", **fields: object) -> Row:
    number = fields.pop("number", 1)
    line = json.dumps({"image": image, **fields}).encode()
    return Row(number=number, line=line, images=(image,), **fields)  # type: ignore[arg-type]


def drawn(row: Row, number: int = 0, seed: int = 0, questions: Sequence[Question] = FEW) -> str:
    return choose_question(row, number, seed=seed, questions=questions).id


def test_the_place_of_a_row_and_its_other_columns_change_no_question() -> None:
    here = Row(1, b'{"image": "a.jpg"}', ("a.jpg",))
    there = Row(999, b'{"image": "a.jpg", "more": 1}', ("a.jpg",), tag="<bo>")
    assert [drawn(here, n) for n in range(24)] == [drawn(there, n) for n in range(24)]
    assert request_seed(here, 0, 5) == request_seed(there, 0, 5)


@pytest.mark.parametrize("image", ["a.jpg", 'a "b"\\c.jpg', "小满/é\n😀.jpg", "half \ud800.jpg"])
@pytest.mark.parametrize("identity", [None, 0, -7, 2**80, "", 'q"\\', "小满"])
def test_the_digest_is_that_of_the_list_as_json(image: str, identity: str | int | None) -> None:
    some = Row(1, b"{}", (image, "b.jpg"), id=identity)
    for purpose, more in (("question", ()), ("sampling", (0,)), ("sampling", (3, 4))):
        text = json.dumps([purpose, 5, identity, [image, "b.jpg"], *more])
        assert row_digest(some, 5, purpose, *more) == blake2b(text.encode(), digest_size=8).digest()


@pytest.mark.parametrize("change", ["seed", "picture", "id", "number"])
def test_each_input_of_the_choice_changes_it(change: str) -> None:
    changes = {
        "seed": lambda image: drawn(row(image), seed=1),
        "picture": lambda image: drawn(row(image + "x")),
        "id": lambda image: drawn(row(image, id=image)),
        "number": lambda image: drawn(row(image), number=1),
    }
    images = [f"{n}.jpg" for n in range(200)]
    same = sum(drawn(row(image)) == changes[change](image) for image in images)
    assert same < 40, "chance alone leaves about one in twenty-four"


def test_the_choice_is_the_same_in_every_release() -> None:
    """So that a data set can be continued with a later release."""
    assert [drawn(row(f"{n}.jpg")) for n in range(8)] == PINNED
    assert [drawn(row("0.jpg"), n) for n in range(8)] == PINNED_NUMBERS
    assert [drawn(row("0.jpg", id=identity), seed=7) for identity in (1, "1", "小满")] == PINNED_IDS
    assert request_seed(row("0.jpg"), 0, 0) == PINNED_SEED


PINNED = ["q4", "q12", "q3", "q12", "q11", "q0", "q6", "q12"]
PINNED_NUMBERS = ["q4", "q13", "q12", "q16", "q20", "q9", "q5", "q22"]
PINNED_IDS = ["q12", "q7", "q19"]
PINNED_SEED = 1161290624


@pytest.mark.parametrize("number", [0, 5, 23])
def test_questions_of_each_number_are_spread_over_the_bank(number: int) -> None:
    counts = Counter(drawn(row(f"{n}.jpg"), number) for n in range(10_000))
    assert len(counts) == len(FEW)
    assert min(counts.values()) > 10_000 / 24 * 0.7
    assert max(counts.values()) < 10_000 / 24 * 1.3


def test_the_questions_of_a_row_are_all_different() -> None:
    for image in IMAGES[:50]:
        assert len({drawn(row(image), n) for n in range(24)}) == 24


def test_the_second_question_does_not_depend_on_the_first() -> None:
    pairs = Counter((drawn(row(image), 0), drawn(row(image), 1)) for image in IMAGES if drawn(row(image)) == "q0")
    assert len(pairs) > 20


def test_the_order_and_the_wording_of_a_bank_change_no_choice() -> None:
    other = tuple(Question(item.id, "{tag}呢？", "human", "zh", sensitive=True) for item in reversed(FEW))
    for image in IMAGES[:50]:
        assert [drawn(row(image), n) for n in range(24)] == [drawn(row(image), n, questions=other) for n in range(24)]


@pytest.mark.parametrize("number", [0, 3])
def test_a_new_question_changes_few_choices(number: int) -> None:
    more = (*FEW, Question("new", "What is new about {tag}?"))
    changed = sum(drawn(row(image), number) != drawn(row(image), number, questions=more) for image in IMAGES)
    assert 0 < changed < 1.5 * len(IMAGES) * (number + 1) / 25


def test_a_new_question_keeps_the_order_of_the_others() -> None:
    more = (Question("new", "What is new about {tag}?"), *FEW)
    for image in IMAGES[:50]:
        ranked = [drawn(row(image), n, questions=more) for n in range(25)]
        assert [name for name in ranked if name != "new"] == [drawn(row(image), n) for n in range(24)]


@pytest.mark.parametrize(("number", "questions"), [(24, FEW), (-1, FEW), (0, ())])
def test_a_row_fails_where_the_bank_has_no_such_question(number: int, questions: Sequence[Question]) -> None:
    with pytest.raises(RowError, match=r"the row's category and language.*--bank") as caught:
        choose_question(row(), number, seed=0, questions=questions)
    assert caught.value.code == "no_question"


def test_a_rows_own_question_is_used_with_its_tag() -> None:
    task = TaskMaker("<mam>", 0, Bank.build("human"), ()).make_task(row(question="What does {tag} hold?"), TaskId(1))
    assert task.question == "What does <mam> hold?"


def test_seeds_have_31_bits_and_differ_by_row_and_question() -> None:
    seeds = [request_seed(row(f"{n}.jpg"), number, 0) for n in range(100) for number in (0, 1)]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
