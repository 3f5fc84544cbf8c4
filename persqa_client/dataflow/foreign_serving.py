"""Runs over DataFlow's own servings, in batches, with images as files.

Each ``call_with_*`` function uses another of their methods. An exception fails the questions of a call, not the run.
"""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Callable, Sequence
from itertools import count, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from PIL import Image

from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.profile import Reply
from persqa_client.errors import Interrupted, RowError, SettingsError
from persqa_client.types import Completion, EncodedImage, Request, Turn

# Prefix of a failed answer in DataFlow-MM's servings.
ERROR_PREFIX = "Error: "


class ForeignQuestion(NamedTuple):
    system: str
    text: str
    paths: tuple[str, ...]
    turns: tuple[Turn, ...] = ()

    @property
    def flat(self) -> str:
        return "\n\n".join([self.text, *(turn.text for turn in self.turns)])


class ServingFailed(Exception):
    """The serving returned no answer."""


ServingAnswer = str | None | ServingFailed
CallServing = Callable[[Any, list[ForeignQuestion]], Sequence[Any]]


def select_call(serving: Any) -> CallServing:
    def has(name: str) -> bool:
        return callable(getattr(serving, name, None))

    if has("generate_from_input_messages"):
        return call_with_messages
    if has("generate_from_input_one_image"):
        return call_with_images
    if not has("generate_from_input"):
        raise SettingsError(
            f"{type(serving).__name__} can't be used as a serving: it needs the method generate_from_input_messages, "
            "generate_from_input_one_image or generate_from_input of DataFlow's servings."
        )
    return (
        call_with_texts
        if "image_inputs" in inspect.signature(serving.generate_from_input).parameters
        else call_with_paths
    )


def call_with_messages(serving: Any, questions: list[ForeignQuestion]) -> Sequence[Any]:
    """DataFlow-MM: turns with the keys of its API serving and its local serving."""
    return list(
        serving.generate_from_input_messages(
            conversations=[build_conversation(question) for question in questions],
            image_list=[list(question.paths) for question in questions],
            system_prompt=questions[0].system,
        )
    )


def build_conversation(question: ForeignQuestion) -> list[dict[str, str]]:
    marks = "<image>" * len(question.paths)
    first = {"role": "user", "content": question.text, "from": "human", "value": marks + question.text}
    later = [
        {"role": turn.role, "content": turn.text, "from": "gpt" if turn.role == "assistant" else "human"}
        | {"value": turn.text}
        for turn in question.turns
    ]
    return [first, *later]


def call_with_images(serving: Any, questions: list[ForeignQuestion]) -> Sequence[Any]:
    """open-dataflow: one image and one text, or several images with labels."""
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


def call_with_texts(serving: Any, questions: list[ForeignQuestion]) -> Sequence[Any]:
    """Texts, with images in ``image_inputs``."""
    return list(
        serving.generate_from_input(
            user_inputs=[question.flat for question in questions],
            system_prompt=questions[0].system,
            image_inputs=[list(question.paths) for question in questions],
        )
    )


def call_with_paths(serving: Any, questions: list[ForeignQuestion]) -> Sequence[Any]:
    """Paths and one common question, as in DataFlow's PromptedVQAGenerator."""
    answers: list[Any] = []
    for flat, group in groupby(questions, key=lambda question: question.flat):
        alike = list(group)
        if any(len(question.paths) != 1 for question in alike):
            raise ServingFailed(f"{type(serving).__name__} accepts one image per question")
        asked = f"{alike[0].system}\n{flat}"
        answers += serving.generate_from_input([question.paths[0] for question in alike], asked)
    return answers


def ask_serving(way: CallServing, serving: Any, questions: Sequence[ForeignQuestion]) -> list[ServingAnswer]:
    """Answers of all questions; blocks. If the call fails, the questions are asked one by one."""
    if not questions:
        return []
    order = sorted(range(len(questions)), key=lambda number: batch_key(questions[number]))
    answers: dict[int, ServingAnswer] = {}
    for _, group in groupby(order, key=lambda number: batch_key(questions[number])[:2]):
        alike = list(group)
        answers |= zip(alike, ask_batch(way, serving, [questions[number] for number in alike]), strict=True)
    return [answers[number] for number in range(len(questions))]


def batch_key(question: ForeignQuestion) -> tuple[str, int, str]:
    """Questions in one call have the same system text, and no image, one or several images each."""
    return question.system, min(len(question.paths), 2), question.flat


def ask_batch(way: CallServing, serving: Any, questions: list[ForeignQuestion]) -> list[ServingAnswer]:
    try:
        answers = way(serving, questions)
        if len(answers) != len(questions):
            raise ServingFailed(f"the serving returned {len(answers)} answers to {len(questions)} questions")
    except Exception as error:
        # A serving may raise anything.
        if len(questions) > 1:
            return [ask_batch(way, serving, [question])[0] for question in questions]
        return [error if isinstance(error, ServingFailed) else ServingFailed(f"{type(error).__name__}: {error}")]
    return [parse_serving_answer(answer) for answer in answers]


def parse_serving_answer(answer: Any) -> ServingAnswer:
    if answer is None:
        return ServingFailed("the serving returned no answer")
    if not isinstance(answer, str):
        return ServingFailed(f"the serving returned a {type(answer).__name__} instead of text")
    return ServingFailed(answer.removeprefix(ERROR_PREFIX)) if answer.startswith(ERROR_PREFIX) else answer


# Seconds to wait for a full batch.
BATCH_WAIT = 0.05
# Formats of all DataFlow servings; other images are converted to PNG.
PASSED_AS_IS = {"image/jpeg": ".jpg", "image/png": ".png"}


class WaitingQuestion(NamedTuple):
    question: ForeignQuestion
    answer: asyncio.Future[ServingAnswer]


class ForeignPool(Pool):
    """Completes requests through one of DataFlow's servings instead of endpoints.

    Calls the serving in a thread, one call at a time. Raises SettingsError if the serving has no method for images.
    """

    def __init__(self, serving: Any, size: int) -> None:
        super().__init__([])
        self._serving = serving
        self._way = select_call(serving)
        self._size = size
        self._waiting: list[WaitingQuestion] = []
        self._asked = 0
        self._calls: asyncio.Task[None] | None = None
        self._closed = False
        self._numbers = count(1)
        self._folder: TemporaryDirectory[str] | None = None

    @property
    def completer(self) -> Pool:
        return self

    @property
    def permits(self) -> int:
        """Twice the batch size, so that the next batch fills during a call."""
        return 2 * self._size

    @property
    def in_use(self) -> int:
        return len(self._waiting) + self._asked

    async def complete(self, request: Request) -> Reply:
        """Raises RowError without an answer, Interrupted if the run is stopped."""
        if self._closed:
            raise Interrupted
        self._folder = self._folder or TemporaryDirectory(prefix="persqa-")
        paths = await asyncio.to_thread(self._save, Path(self._folder.name), request.pictures)
        try:
            given = await self._answer(
                ForeignQuestion(request.system, request.prompt, tuple(map(str, paths)), request.turns)
            )
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
        if isinstance(given, ServingFailed):
            raise RowError("serving_failed", f"{type(self._serving).__name__}: {given}", raw=str(given), attempts=1)
        # Servings return only the text, so truncation can't be detected.
        return Reply(Completion(given or "", "stop"), 1, constrained=False)

    async def _answer(self, question: ForeignQuestion) -> ServingAnswer:
        waiting = WaitingQuestion(question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._calls is None or self._calls.done():
            self._calls = asyncio.create_task(self._call())
        return await waiting.answer

    async def _call(self) -> None:
        while self._waiting:
            await self._gather()
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            self._asked = len(batch)
            answers = await asyncio.to_thread(ask_serving, self._way, self._serving, [one.question for one in batch])
            self._asked = 0
            for one, answer in zip(batch, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)

    async def _gather(self) -> None:
        there = 0
        while there < len(self._waiting) < self._size:
            there = len(self._waiting)
            await asyncio.sleep(BATCH_WAIT)

    def _save(self, folder: Path, pictures: tuple[EncodedImage, ...]) -> list[Path]:
        paths = []
        for picture in pictures:
            path = folder / f"{next(self._numbers)}{PASSED_AS_IS.get(picture.media_type, '.png')}"
            path.write_bytes(picture.data if picture.media_type in PASSED_AS_IS else convert_to_png(picture))
            paths.append(path)
        return paths

    def drain(self) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.answer.done():
                one.answer.set_exception(Interrupted())

    async def aclose(self) -> None:
        if self._calls is not None:
            await asyncio.gather(self._calls, return_exceptions=True)
        if self._folder is not None:
            self._folder.cleanup()


def convert_to_png(picture: EncodedImage) -> bytes:
    drawn = io.BytesIO()
    with Image.open(io.BytesIO(picture.data)) as image:
        image.save(drawn, "PNG")
    return drawn.getvalue()
