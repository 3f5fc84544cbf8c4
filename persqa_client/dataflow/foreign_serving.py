"""How a serving that is not ours is asked: by the methods that it has, with pictures as files. Calls foreign code.

DataFlow's servings differ in what they take; each way here is one of theirs. What they raise is the answer's fate, not
the program's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.types import Turn

FAILED = "Error: "
"""With this DataFlow-MM's servings begin what stands in place of an answer."""


class Question(NamedTuple):
    """One request: its pictures as paths of files, in order."""

    system: str
    text: str
    paths: tuple[str, ...]
    turns: tuple[Turn, ...] = ()

    @property
    def flat(self) -> str:
        """All turns as one text, for servings that know no conversations."""
        return "\n\n".join([self.text, *(turn.text for turn in self.turns)])


class Refused(Exception):
    """The serving gave no answer; the text says why."""


Given = str | None | Refused
Way = Callable[[Any, list[Question]], Sequence[Any]]


def way_of(serving: Any) -> Way:
    """How this serving is asked about pictures. Raises SettingsError where it has no method for it."""

    def has(name: str) -> bool:
        return callable(getattr(serving, name, None))

    if has("generate_from_input_messages"):
        return by_messages
    if has("generate_from_input_one_image"):
        return by_pictures
    if not has("generate_from_input"):
        raise SettingsError(
            f"{type(serving).__name__} can't be asked: a serving has generate_from_input_messages, "
            "generate_from_input_one_image or generate_from_input, as DataFlow's have."
        )
    return by_texts if "image_inputs" in inspect.signature(serving.generate_from_input).parameters else by_paths


def by_messages(serving: Any, questions: list[Question]) -> Sequence[Any]:
    """DataFlow-MM's: turns that its API serving and its local one can both read, for the two want other keys."""
    return list(
        serving.generate_from_input_messages(
            conversations=[conversation(question) for question in questions],
            image_list=[list(question.paths) for question in questions],
            system_prompt=questions[0].system,
        )
    )


def conversation(question: Question) -> list[dict[str, str]]:
    marks = "<image>" * len(question.paths)
    first = {"role": "user", "content": question.text, "from": "human", "value": marks + question.text}
    later = [
        {"role": turn.role, "content": turn.text, "from": "gpt" if turn.role == "assistant" else "human"}
        | {"value": turn.text}
        for turn in question.turns
    ]
    return [first, *later]


def by_pictures(serving: Any, questions: list[Question]) -> Sequence[Any]:
    """open-dataflow's: one picture and one text, or several pictures with labels."""
    if all(len(question.paths) == 1 for question in questions):
        return list(
            serving.generate_from_input_one_image(
                image_paths=[question.paths[0] for question in questions],
                text_prompts=[question.flat for question in questions],
                system_prompt=questions[0].system,
            )
        )
    return list(
        serving.generate_from_input_multi_images(
            list_of_image_paths=[list(question.paths) for question in questions],
            list_of_image_labels=[
                [f"Picture {number}" for number in range(1, len(question.paths) + 1)] for question in questions
            ],
            system_prompt=f"{questions[0].system}\n",
            user_prompts=[question.flat for question in questions],
        )
    )


def by_texts(serving: Any, questions: list[Question]) -> Sequence[Any]:
    """Texts, and pictures beside them."""
    return list(
        serving.generate_from_input(
            user_inputs=[question.flat for question in questions],
            system_prompt=questions[0].system,
            image_inputs=[list(question.paths) for question in questions],
        )
    )


def by_paths(serving: Any, questions: list[Question]) -> Sequence[Any]:
    """The plain interface, as DataFlow's PromptedVQAGenerator uses it: paths, and one question about them all."""
    answers: list[Any] = []
    for flat, group in groupby(questions, key=lambda question: question.flat):
        alike = list(group)
        if any(len(question.paths) != 1 for question in alike):
            raise Refused(f"{type(serving).__name__} takes one picture a question")
        asked = f"{alike[0].system}\n{flat}"
        answers += serving.generate_from_input([question.paths[0] for question in alike], asked)
    return answers


def ask(way: Way, serving: Any, questions: Sequence[Question]) -> list[Given]:
    """What came of each. Where a call failed as a whole, its questions are asked again one by one, so that none fails
    for another's sake. Blocks."""
    if not questions:
        return []
    order = sorted(range(len(questions)), key=lambda number: kind_of(questions[number]))
    answers: dict[int, Given] = {}
    for _, group in groupby(order, key=lambda number: kind_of(questions[number])[:2]):
        alike = list(group)
        answers |= zip(alike, ask_alike(way, serving, [questions[number] for number in alike]), strict=True)
    return [answers[number] for number in range(len(questions))]


def kind_of(question: Question) -> tuple[str, bool, str]:
    """What one call has in common: system text, and one picture or several; like texts stand together."""
    return question.system, len(question.paths) > 1, question.flat


def ask_alike(way: Way, serving: Any, questions: list[Question]) -> list[Given]:
    try:
        answers = way(serving, questions)
        if len(answers) != len(questions):
            raise Refused(f"the serving gave {len(answers)} answers to {len(questions)} questions")
    except Exception as error:
        # Whatever foreign code raises.
        if len(questions) > 1:
            return [ask_alike(way, serving, [question])[0] for question in questions]
        return [error if isinstance(error, Refused) else Refused(f"{type(error).__name__}: {error}")]
    return [read(answer) for answer in answers]


def read(answer: Any) -> Given:
    if answer is None:
        return Refused("the serving gave no answer")
    if not isinstance(answer, str):
        return Refused(f"the serving gave a {type(answer).__name__} in place of text")
    return Refused(answer.removeprefix(FAILED)) if answer.startswith(FAILED) else answer
