"""What a plain answer skips would find nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from persqa_client.answers import answer_language, checks, doubts, echo, parse, placeholders, residue, unfinished
from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.answers.plain import is_plain
from persqa_client.types import Completion, Problem, Task
from tests.answers.helpers import make_task
from tests.answers.score import TABLES, read_part

MODULES = (answer_language, checks, doubts, echo, parse, placeholders, residue, unfinished)


@pytest.mark.parametrize(
    "text",
    [
        "<mam> wears a dark blue jacket, and a white shirt.",
        "<mam>'s jacket isn't red.",
        "<mam> is 3.5 m long",
        "<mam>穿着红色的外套，旁边有3朵花。",
        "<mam>",
    ],
)
def test_words_commas_and_full_stops_are_plain(text: str) -> None:
    assert is_plain(text, "<mam>")


@pytest.mark.parametrize("mark", [*"\"'“”‘’「」《》<>()[]{}:：;；?？!！*_`~#=|%$&@^+–—…/\\\n\t\0©é😀某X", "sks"])
def test_marks_are_not_plain(mark: str) -> None:
    assert not is_plain(f"<mam> wears a {mark} hat.", "<mam>")


@pytest.mark.parametrize("tag", ["<image>", "<s>", "</mam>", "<box>", "<think>", "<0x0A>"])
def test_markup_is_no_plain_tag(tag: str) -> None:
    assert not is_plain(f"{tag} wears a hat.", tag)


def list_plain_answers(*, is_fast: bool) -> Iterator[tuple[str, Task]]:
    for path in sorted(TABLES.rglob("*.jsonl")):
        for case in read_part(path, is_fast=is_fast):
            if is_plain(case.raw, case.tag):
                yield case.raw, make_task(case.question, case.tag)


def judge(text: str, task: Task) -> tuple[object, Problem | None, tuple[str, ...]]:
    completion = Completion(text, "stop")
    answer = parse_answer(completion, task)
    return answer, check_answer(completion, answer, task), doubts.find_doubts(answer.text, task, answer.steps)


@pytest.mark.parametrize("is_fast", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_plain_answer_has_the_result_of_all_searches(is_fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = list(list_plain_answers(is_fast=is_fast))
    assert len(answers) > 250
    results = [judge(*answer) for answer in answers]
    for module in MODULES:
        monkeypatch.setattr(module, "is_plain", lambda text, tag: False)
    for answer, result in zip(answers, results, strict=True):
        assert judge(*answer) == result
