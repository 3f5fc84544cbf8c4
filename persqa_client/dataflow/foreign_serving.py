"""How a serving that is not ours is asked: by the methods that it has, with pictures as files. Calls foreign code.

DataFlow's servings differ in what they take; each way here is one of theirs. What they raise is the answer's fate, not
the program's.
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
from persqa_client.endpoints.session import Reply
from persqa_client.errors import Interrupted, RowError, SettingsError
from persqa_client.types import Completion, EncodedImage, Request, Turn

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


# A serving that is not ours in the place of endpoints: rows that wait are asked together, call after call.
#
# Calls the serving in a thread, and writes the pictures for it into a temporary folder, as they would go over the wire.

GATHER = 0.05
"""Seconds that a call waits for more rows; those whose pictures are at hand are there long before."""
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
"""What every serving of DataFlow's takes; other pictures are written as PNG."""


class Waiting(NamedTuple):
    question: Question
    answer: asyncio.Future[Given]


class ForeignPool(Pool):
    """Completes requests by a serving of DataFlow's, up to ``size`` in one call, and one call at a time.

    It stands where a run has its endpoints, and has none of its own. Raises SettingsError where the serving has no
    method for pictures.
    """

    def __init__(self, serving: Any, size: int) -> None:
        super().__init__([])
        self._serving = serving
        self._way = way_of(serving)
        self._size = size
        self._waiting: list[Waiting] = []
        self._asked = 0
        self._calls: asyncio.Task[None] | None = None
        self._closed = False
        self._numbers = count(1)
        self._folder: TemporaryDirectory[str] | None = None

    @property
    def completer(self) -> Pool:
        return self

    @property
    def slots(self) -> int:
        """Twice a call's size: the next one fills while one is under way."""
        return 2 * self._size

    @property
    def in_use(self) -> int:
        return len(self._waiting) + self._asked

    async def complete(self, request: Request) -> Reply:
        """Raises RowError where the serving gives no answer, Interrupted when the run is being stopped."""
        if self._closed:
            raise Interrupted
        self._folder = self._folder or TemporaryDirectory(prefix="persqa-")
        paths = await asyncio.to_thread(self._save, Path(self._folder.name), request.pictures)
        try:
            given = await self._answer(Question(request.system, request.prompt, tuple(map(str, paths)), request.turns))
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
        if isinstance(given, Refused):
            raise RowError("serving_failed", f"{type(self._serving).__name__}: {given}", raw=str(given), attempts=1)
        # Servings tell the text alone; that it came to its end must be believed.
        return Reply(Completion(given or "", "stop"), 1, constrained=False)

    async def _answer(self, question: Question) -> Given:
        waiting = Waiting(question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._calls is None or self._calls.done():
            self._calls = asyncio.create_task(self._call())
        return await waiting.answer

    async def _call(self) -> None:
        """Call after call while somebody waits."""
        while self._waiting:
            await self._gather()
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            self._asked = len(batch)
            answers = await asyncio.to_thread(ask, self._way, self._serving, [one.question for one in batch])
            self._asked = 0
            for one, answer in zip(batch, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)

    async def _gather(self) -> None:
        """Until a call is full, or no more come."""
        there = 0
        while there < len(self._waiting) < self._size:
            there = len(self._waiting)
            await asyncio.sleep(GATHER)

    def _save(self, folder: Path, pictures: tuple[EncodedImage, ...]) -> list[Path]:
        paths = []
        for picture in pictures:
            path = folder / f"{next(self._numbers)}{SUFFIXES.get(picture.media_type, '.png')}"
            path.write_bytes(picture.data if picture.media_type in SUFFIXES else as_png(picture))
            paths.append(path)
        return paths

    def drain(self) -> None:
        """The call under way may finish; what waits is given back."""
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


def as_png(picture: EncodedImage) -> bytes:
    drawn = io.BytesIO()
    with Image.open(io.BytesIO(picture.data)) as image:
        image.save(drawn, "PNG")
    return drawn.getvalue()
