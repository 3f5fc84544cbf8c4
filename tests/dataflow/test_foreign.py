"""Servings that are not ours under our operator: how they are asked, what their failures become, and going on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import RunStopped, SettingsError
from persqa_client.dataflow import PersQAGenerator
from persqa_client.dataflow.foreign_serving import (
    ERROR_PREFIX,
    ForeignQuestion,
    ServingFailed,
    ask_serving,
    call_with_images,
    call_with_paths,
    select_call,
)
from persqa_client.types import Turn
from tests.dataflow.conftest import storage_of, written

ROWS: list[dict[str, Any]] = [{"image": ["red.png"], "id": number} for number in range(5)]
GOOD = "<mam> holds a plain red balloon."


class Messages:
    """As DataFlow-MM's servings are: conversations in, texts out. ``reply`` answers the nth question, from 0."""

    def __init__(self, reply: Callable[[int], Any] = lambda number: GOOD) -> None:
        self.reply = reply
        self.calls: list[list[list[dict[str, str]]]] = []
        self.pictures: list[tuple[str, bytes]] = []
        self.asked = 0

    def generate_from_input_messages(
        self, conversations: list[Any], image_list: list[list[str]], system_prompt: str
    ) -> list[Any]:
        self.calls.append(conversations)
        self.pictures += [(Path(path).suffix, Path(path).read_bytes()) for paths in image_list for path in paths]
        answers = [self.reply(self.asked + number) for number in range(len(conversations))]
        self.asked += len(conversations)
        return answers


class Plain:
    """As the abstract class has it: pictures' paths, and one question about them all."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.calls: list[tuple[list[str], str]] = []

    def generate_from_input(self, user_inputs: list[str], system_prompt: str) -> list[str]:
        self.calls.append((user_inputs, system_prompt))
        if any(self.broken and self.broken in path for path in user_inputs):
            raise OSError("no such picture")
        return [f"{path} {system_prompt}" for path in user_inputs]


def test_rows_are_asked_together_in_turns_that_both_kinds_of_servings_read(folder: Path) -> None:
    theirs = Messages()
    PersQAGenerator(theirs, batch_size=5).run(storage_of(ROWS))
    assert [len(call) for call in theirs.calls] == [5]
    (turn,) = theirs.calls[0][0]
    assert (turn["role"], turn["from"]) == ("user", "human")
    assert turn["value"] == f"<image>{turn['content']}"
    assert [row["output"].partition(", Answer: ")[2] for row in written()] == [GOOD] * 5


def test_pictures_are_given_as_files_as_they_would_go_out(folder: Path) -> None:
    Image.new("RGB", (40, 32), (9, 9, 9)).save("a.webp", exif=b"Exif\0\0place")
    theirs = Messages()
    PersQAGenerator(theirs).run(storage_of([{"image": ["a.webp", "red.png"]}]))
    assert [suffix for suffix, _ in theirs.pictures] == [".png", ".png"]
    assert theirs.pictures[0][1].startswith(b"\x89PNG")
    assert not any(b"place" in data for _, data in theirs.pictures)


@pytest.mark.parametrize("failure", [f"{ERROR_PREFIX}Connection error.", None, 7], ids=["Error:", "None", "a number"])
def test_what_is_no_answer_fails_its_row_alone(folder: Path, failure: Any) -> None:
    PersQAGenerator(Messages(lambda number: failure if number == 1 else GOOD)).run(storage_of(ROWS))
    rows = written()
    assert sum(row["output"] is None for row in rows) == 1
    (error,) = (row["output_error"] for row in rows if row["output"] is None)
    assert error.startswith("serving_failed: Messages: ")
    assert not any(ERROR_PREFIX in str(row["output"]) for row in rows)


def test_a_bad_answer_is_asked_again_with_the_reason_and_a_tag_is_repaired(folder: Path) -> None:
    answers = ["He wears a red coat.", "**mam** wears a red coat."]
    theirs = Messages(lambda number: answers[number])
    PersQAGenerator(theirs).run(storage_of(ROWS[:1]))
    assert written()[0]["output"].endswith(", Answer: <mam> wears a red coat.")
    first, answer, reason = theirs.calls[1][0]
    assert (answer["from"], answer["value"], reason["role"]) == ("gpt", answers[0], "user")
    assert first["content"] in theirs.calls[0][0][0]["content"]


def test_what_was_answered_is_not_asked_again_and_what_failed_is(folder: Path) -> None:
    PersQAGenerator(Messages(lambda number: None if number == 0 else GOOD)).run(storage_of(ROWS))
    again = Messages()
    PersQAGenerator(again).run(storage_of(ROWS))
    assert again.asked == 1
    assert all(row["output"] for row in written())
    third = Messages()
    PersQAGenerator(third).run(storage_of(ROWS))
    assert third.asked == 0


def test_a_serving_that_fails_for_all_stops_the_run(folder: Path) -> None:
    rows = [{"image": ["red.png"], "id": number} for number in range(60)]
    with pytest.raises(RunStopped):
        PersQAGenerator(Messages(lambda number: f"{ERROR_PREFIX}Invalid key")).run(storage_of(rows))
    assert not Path("cache/qa_step1.jsonl").exists()
    PersQAGenerator(Messages()).run(storage_of(rows))
    assert all(row["output"] for row in written())


def test_a_model_that_refuses_everything_stops_the_run_until_the_rows_may_fail(folder: Path) -> None:
    rows = [{"image": ["red.png"], "id": number} for number in range(30)]
    serving = Messages(lambda number: "I'm sorry, but I can't help with that.")
    with pytest.raises(RunStopped, match="answers were rejected"):
        PersQAGenerator(serving).run(storage_of(rows))
    PersQAGenerator(serving, max_bad_answers=0).run(storage_of(rows))
    assert [row["output_error"].startswith("refusal: ") for row in written()] == [True] * 30


def question(path: str, text: str = "What?", *more: str) -> ForeignQuestion:
    return ForeignQuestion(
        "s", text, (path, *more), (Turn("assistant", "a"), Turn("user", "b")) if text == "turns" else ()
    )


def test_the_plain_interface_is_called_once_for_each_question() -> None:
    theirs = Plain()
    asked = [question("1.png"), question("2.png", "Who?"), question("3.png"), question("4.png", "turns")]
    answers = ask_serving(call_with_paths, theirs, asked)
    assert [paths for paths, _ in theirs.calls] == [["1.png", "3.png"], ["2.png"], ["4.png"]]
    assert answers == ["1.png s\nWhat?", "2.png s\nWho?", "3.png s\nWhat?", "4.png s\nturns\n\na\n\nb"]


def test_a_call_that_fails_as_a_whole_is_made_again_one_by_one() -> None:
    answers = ask_serving(call_with_paths, Plain(broken="2"), [question("1.png"), question("2.png"), question("3.png")])
    assert [isinstance(answer, ServingFailed) for answer in answers] == [False, True, False]
    assert str(answers[1]) == "OSError: no such picture"
    (several,) = ask_serving(call_with_paths, Plain(), [question("1.png", "What?", "2.png")])
    assert "one image per question" in str(several)


def test_a_serving_is_asked_by_the_best_that_it_has() -> None:
    class OneImage(Plain):
        def generate_from_input_one_image(
            self, image_paths: Sequence[str], text_prompts: Sequence[str], system_prompt: str
        ) -> list[str]:
            return [f"{path} {text}" for path, text in zip(image_paths, text_prompts, strict=True)][:-1]

    class Texts:
        def generate_from_input(
            self, user_inputs: list[str], system_prompt: str, image_inputs: list[list[str]]
        ) -> list[str]:
            return [f"{text} {images}" for text, images in zip(user_inputs, image_inputs, strict=True)]

    assert select_call(OneImage()) is call_with_images
    (short,) = ask_serving(call_with_images, OneImage(), [question("1.png")])
    assert "0 answers to 1 questions" in str(short)
    assert ask_serving(select_call(Texts()), Texts(), [question("1.png", "What?", "2.png")]) == [
        "What? ['1.png', '2.png']"
    ]
    with pytest.raises(SettingsError, match="object can't be used as a serving"):
        select_call(object())


def test_one_that_is_not_ours_can_not_be_held_to_the_tag(folder: Path) -> None:
    with pytest.raises(SettingsError, match="strategy='auto'"):
        PersQAGenerator(Messages(), strategy="constrain").run(storage_of(ROWS))


def test_answers_are_verified_with_the_pictures_and_without(folder: Path) -> None:
    theirs = Messages(lambda number: GOOD if number < len(ROWS) else "Yes.")
    PersQAGenerator(theirs, verify="all").run(storage_of(ROWS))
    turns = [conversation[0]["value"] for call in theirs.calls for conversation in call]
    asked = [turn for turn in turns if "Reply with yes or no only." in turn]
    assert len(asked) == 2 * len(ROWS)
    assert sum(turn.startswith("<image>") for turn in asked) == len(ROWS)
    assert [row["output"].partition(", Answer: ")[2] for row in written()] == [GOOD] * len(ROWS)


def test_questions_without_a_picture_have_a_call_of_their_own() -> None:
    questions = [ForeignQuestion("s", f"q{number}", ("1.png",) * number) for number in (0, 1, 2, 3, 1, 0)]
    sizes: list[list[int]] = []

    def way(serving: Any, asked: list[ForeignQuestion]) -> list[str]:
        sizes.append([len(question.paths) for question in asked])
        return [question.text for question in asked]

    assert ask_serving(way, object(), questions) == ["q0", "q1", "q2", "q3", "q1", "q0"]
    assert sizes == [[0, 0], [1, 1], [2, 3]]
