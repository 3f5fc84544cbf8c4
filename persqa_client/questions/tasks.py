"""Makes the tasks of a row: question, prompt, constraint, checks and seed.

Question and seed depend only on the run's seed, the row's id, and its images: as written in a row of the user, as named
from the folder in a row that was made of a folder's image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as quote

from persqa_client.errors import RowError
from persqa_client.images.references import describe_reference
from persqa_client.questions.bank import RANK_MODULUS, Bank, Question
from persqa_client.questions.constraints import choose_form, sentence_pattern, word_answer_pattern
from persqa_client.questions.introductions import introduce
from persqa_client.questions.steering import DEFAULT_STEERING, Steering, check_text
from persqa_client.questions.tags import can_repair_bare_name, choose_surrogate, parse_tag
from persqa_client.types import Check, Row, Strategy, Task, TaskId

# The surrogate strategy also works without a pattern.
STRATEGIES_WITH_PATTERN = ("constrain", "surrogate")
TAG_LIKE = re.compile(r"</?([^\W\d_][\w.\-]{0,39})>")


def choose_question(row: Row, number: int, *, seed: int, questions: Sequence[Question]) -> Question:
    """Questions are ranked per row by rendezvous hashing, so that adding a question changes few choices.

    Raises RowError (``no_question``) if there are too few.
    """
    if not 0 <= number < len(questions):
        fitting = f"only {len(questions)} questions match" if questions else "no question matches"
        raise RowError(
            "no_question",
            f"{fitting} the row's category and language; ask fewer questions, or give a --bank that has more.",
        )
    key = int.from_bytes(row_digest(row, seed, "question"), "big")
    ranks = [key * question.factor % RANK_MODULUS for question in questions]
    if number == 0:
        return questions[ranks.index(min(ranks))]
    return questions[sorted(range(len(ranks)), key=ranks.__getitem__)[number]]


def request_seed(row: Row, number: int, seed: int) -> int:
    """31 bits, accepted by every server."""
    return (int.from_bytes(row_digest(row, seed, "sampling", number), "big") >> 1) % 2**31


def row_digest(row: Row, seed: int, purpose: str, *more: int) -> bytes:
    """8 bytes. ``purpose`` makes question and request seed independent of each other."""
    # The list of all these as ``json.dumps`` writes it, in half of the time.
    own = "null" if row.id is None else quote(row.id) if isinstance(row.id, str) else str(row.id)
    names = ", ".join(map(quote, row.names or row.images))
    key = f'["{purpose}", {seed}, {own}, [{names}]{"".join(f", {number}" for number in more)}]'
    return blake2b(key.encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class TaskMaker:
    """Makes the tasks of a run's rows. A row's own tag, question, category and language override the run's."""

    tag: str  # With brackets.
    seed: int
    bank: Bank
    checks: tuple[Check, ...]
    category: str = "human"
    language: str = "en"
    questions: int = 1  # Per row.
    strategy: Strategy = "direct"
    names: tuple[str, ...] = ()  # Real names that answers must not contain.
    steering: Steering = DEFAULT_STEERING
    question: str | None = None  # Asked about each row that has none of its own, instead of the bank's.
    # Whether the rows have an image of the main character, or a drawn box, if the row does not say it.
    may_have_reference: bool = False
    may_have_drawn_box: bool = False
    asked_before: bool = False  # Whether the rows' questions were asked by an earlier run, which has checked them.

    def task_ids(self, row: Row) -> tuple[TaskId, ...]:
        """One per question; a single one for a row with its own question."""
        if self.questions == 1 or row.only_question is not None or row.question is not None:
            return (TaskId(row.number, row.only_question or 0),)
        return tuple(TaskId(row.number, number) for number in range(self.questions))

    def make_task(self, row: Row, task_id: TaskId) -> Task:
        """Raises RowError (``no_question``, ``bad_question``, ``bad_field``, ``bad_prompt`` or ``no_surrogate``)."""
        tag, category = row.tag or self.tag, row.category or self.category
        question_id: str | None = None
        text = row.question if row.question is not None else self.question
        if text is None:
            questions = self.bank.questions(category, row.language or self.language)
            chosen = choose_question(row, task_id.question, seed=self.seed, questions=questions)
            question_id, text = chosen.id, chosen.text
        question = text.replace("{tag}", tag)
        if question_id is None and not self.asked_before:
            check_row_question(question, tag)
        line = None if self.asked_before else row.line
        description = self.steering.describe(question, tag, category, line)
        taken = (*self.names, description)
        surrogate = choose_surrogate(question, tag, taken) if self.strategy == "surrogate" else None
        constrained = self.strategy in STRATEGIES_WITH_PATTERN
        name = surrogate or tag
        asked = question.replace(tag, name)
        has_drawn_box = self.may_have_drawn_box if self.asked_before else is_box_drawn(row)
        introduction = introduce(
            question,
            name,
            description.replace(tag, name),
            has_reference=self.may_have_reference if self.asked_before else row.reference is not None,
            has_drawn_box=has_drawn_box,
        )
        system, prompt = self.steering.build(asked, tag, name, category, line, introduction.text)
        return Task(
            task_id=task_id,
            kind="attribute",
            tag=tag,
            question=question,
            system=system,
            prompt=prompt,
            checks=self.checks,
            seed=request_seed(row, task_id.question, self.seed),
            pattern=self._make_pattern(name, question) if constrained else None,
            prefill=tag if self.strategy == "prefill" else None,
            surrogate=surrogate,
            strategy=self.strategy,
            names=self.names,
            repair_bare_name=can_repair_bare_name(tag),
            question_id=question_id,
            category=category,
            wants_phrase=self.steering.answer_style == "word",
            introduction=introduction.text,
            description=introduction.description,
            has_drawn_box=has_drawn_box,
            file=find_own_file(row),
            counted_as=row.counted_as,
        )

    def _make_pattern(self, name: str, question: str) -> str:
        if self.steering.answer_style == "word":
            return word_answer_pattern(name)
        return sentence_pattern(name, choose_form(question))


def name_row(number: int, file: str, counted_as: str = "line") -> str:
    """Name of a row in messages: its line, or the file of which the row was made.

    ``counted_as``: see ``Row``.
    """
    return name_file(file) if file else f"{counted_as.capitalize()} {number}"


def name_file(path: str) -> str:
    """The path relative to the working directory, if it is below it."""
    below = os.path.relpath(path)
    return describe_reference(path if below.startswith(os.pardir) else below)


def find_own_file(row: Row) -> str:
    """The listed file that the row was made of; empty for a row that was written. Pictures in memory are no files."""
    return row.images[0] if len(row.names) == len(row.images) == 1 and os.path.isabs(row.images[0]) else ""


def place_message(row: Row, message: str) -> str:
    """The message with the name of the row, unless it has it already."""
    file = find_own_file(row)
    name = name_row(row.number, file, row.counted_as)
    if file:
        message = message.replace(describe_reference(file), name)
    # Pictures in memory are named by their row.
    if message.startswith(f"row {row.number}, ") and name == f"Row {row.number}":
        return f"R{message[1:]}"
    return message if name in message else f"{name}: {message}"


def is_box_drawn(row: Row) -> bool:
    return any(mark is not None and mark.mode == "drawn" for mark in row.marks)


def check_row_question(question: str, tag: str) -> None:
    """Raises RowError (``bad_question``). Besides the row's own tag, a question may have others."""
    try:
        check_text(question)
    except ValueError as error:
        raise RowError("bad_question", f"the question {error}") from error
    if "<" not in question:
        return
    if tag in question:
        return
    if other := TAG_LIKE.search(question):
        advice = f', or give the row the field "tag": "{other[1]}"' if can_be_tag(other[1], tag) else ""
        raise RowError(
            "bad_question",
            f"the question is about {other[0]}, but the row's tag is {tag}; write {{tag}} in the question{advice}",
        )


def find_first_tag(question: str) -> str | None:
    """The name of the first tag in a question."""
    return next((found[1] for found in TAG_LIKE.finditer(question) if can_be_tag(found[1], "")), None)


def can_be_tag(name: str, tag: str) -> bool:
    """Whether the name is valid, no single letter as in HTML, and not the row's tag in other letters."""
    try:
        return len(name) > 1 and parse_tag(name).lower() != tag.lower()
    except ValueError:
        return False
