"""The whole journey of one row: pictures, question, request, answer, check, re-ask, record. Composes, does no I/O.

Answers the question "what happens to a row?"; who runs how many at once is the engines' matter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.endpoints.session import Reply
from persqa_client.errors import RowError
from persqa_client.questions.prompts import build_reask_prompt
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import (
    BadRow,
    EncodedImage,
    Failure,
    Outcome,
    Problem,
    Record,
    Request,
    Row,
    SentPicture,
    Task,
    TaskId,
    Usage,
)

ASKS = 2
"""A question is put once, and once more with the reason why the answer was no good."""


def keep_quiet(unit: TaskId, held: int) -> None:
    """For whoever does not ask what a unit holds."""


class Completer(Protocol):
    """What the pipeline needs of an endpoint (persqa_client.endpoints.session.Session, or a fake)."""

    async def complete(self, request: Request) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Paid:
    """What a question has cost so far, and what was wrong with its first answer."""

    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    asks: int = 0
    refused: str | None = None
    raw: str = ""

    def after(self, reply: Reply) -> Paid:
        usage = self.usage + reply.completion.usage
        return Paid(self.attempts + reply.attempts, usage, self.asks + 1, self.refused, self.raw)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What answering a row takes. ``load`` turns one picture reference into a Picture or raises RowError.

    ``room`` is how many tokens an answer may have, ``context`` how many prompt and answer together, where known.
    """

    completer: Completer
    load: Callable[[str], Awaitable[EncodedImage]]
    asks: TaskMaker
    room: int = 512
    context: int | None = None
    count: Callable[[int, int], int | None] = lambda width, height: None
    """Tokens of a picture of that width and height, where the model's rule is known."""

    loaded: Callable[[TaskId, int], None] = keep_quiet
    """Told how many bytes a unit holds once its pictures are there."""

    async def answer_row(self, row: Row | BadRow, unit: TaskId) -> Outcome:
        """The record of a unit, or its failure. RunStopped, Interrupted and bugs pass through."""
        if isinstance(row, BadRow):
            return Failure(unit, row.code, row.message, whole_row=True)
        try:
            ask = self.asks.make_task(row, unit)
            pictures = tuple([await self.load(reference) for reference in row.images])
        except RowError as error:
            return Failure(unit, error.code, f"Line {unit.row}: {error.message}")
        self.loaded(unit, len(row.line) + sum(len(picture.data) for picture in pictures))
        return await self.answer(ask, pictures)

    async def answer(self, ask: Task, pictures: tuple[EncodedImage, ...]) -> Outcome:
        """Asks, and asks again with the reason where the answer is no good."""
        request = Request(ask.system, pictures, ask.prompt, ask.seed, ask.pattern, ask.prefill)
        paid = Paid()
        while True:
            try:
                reply = await self.completer.complete(request)
            except RowError as error:
                return refused_request(ask, error, paid)
            paid = paid.after(reply)
            answer = parse_answer(reply.completion, ask)
            problem = check_answer(reply.completion, answer, ask, request.max_tokens or self.room)
            if problem is None:
                return self.record(ask, answer, reply, paid, pictures)
            paid = replace(
                paid,
                refused=paid.refused or problem.code,
                raw=reply.completion.refusal or reply.completion.text,
            )
            again = self.again(ask, request, problem, reply, paid)
            if again is None:
                return refused_answer(ask, problem, paid)
            request = again

    def again(self, ask: Task, request: Request, problem: Problem, reply: Reply, paid: Paid) -> Request | None:
        """The second request: with twice the room for an answer that was cut off, else with the reason. None where it
        would be a third, or brings no more room."""
        if paid.asks >= ASKS:
            return None
        seed = (ask.seed + paid.asks) % 2**31
        if problem.code == "truncated":
            room = self.more_room(reply.completion.usage)
            return replace(request, seed=seed, max_tokens=room) if room > self.room else None
        return replace(request, seed=seed, turns=build_reask_prompt(ask, paid.raw, problem))

    def more_room(self, usage: Usage) -> int:
        """Twice the room, as far as the context goes."""
        if self.context is None or not usage.prompt:
            return 2 * self.room
        return min(2 * self.room, self.context - usage.prompt)

    def record(self, ask: Task, answer: Answer, reply: Reply, paid: Paid, pictures: tuple[EncodedImage, ...]) -> Record:
        steps = [*(["constraint"] if reply.constrained else []), *(["prefill"] if reply.prefilled else [])]
        steps += [*answer.steps, *(["re-ask"] if paid.asks > 1 else [])]
        return Record(
            task_id=ask.task_id,
            kind=ask.kind,
            tag=ask.tag,
            question=ask.question,
            answer=answer.text,
            raw=reply.completion.text,
            seed=ask.seed,
            model=reply.completion.model,
            finish_reason=reply.completion.finish_reason,
            usage=paid.usage,
            attempts=paid.attempts,
            asks=paid.asks,
            made_good_by=tuple(steps),
            refused=paid.refused,
            strategy=ask.strategy,
            question_id=ask.question_id,
            category=ask.category,
            pictures=tuple(
                SentPicture(p.media_type, p.width, p.height, len(p.data), self.count(p.width, p.height))
                for p in pictures
            ),
        )


def refused_answer(ask: Task, problem: Problem, paid: Paid) -> Failure:
    rejected = "Both answers were rejected; last reason" if paid.asks > 1 else "The answer was rejected"
    message = f"Line {ask.task_id.row}: {rejected}: {problem.message}."
    return Failure(
        ask.task_id, problem.code, message, "answer", paid.attempts, paid.raw, paid.usage, paid.asks, paid.refused
    )


def refused_request(ask: Task, error: RowError, paid: Paid) -> Failure:
    return Failure(
        ask.task_id,
        error.code,
        f"Line {ask.task_id.row}: {error.message}",
        "endpoint",
        paid.attempts + error.attempts,
        error.raw or paid.raw or None,
        paid.usage,
        paid.asks + 1,
        paid.refused,
    )
