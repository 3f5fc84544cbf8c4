"""The whole journey of one row: pictures, question, request, answer, check, re-ask, record. Composes, does no I/O.

Answers the question "what happens to a row?"; who runs how many at once is the engines' matter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from persqa_client.chat.sessions import Reply
from persqa_client.errors import RowError
from persqa_client.inputs.asks import AskMaker
from persqa_client.inputs.prompts import put_again
from persqa_client.outputs.answers import Answer, judge, read_answer
from persqa_client.types import Ask, BadRow, Failure, Outcome, Picture, Problem, Record, Request, Row, Unit, Usage

ASKS = 2
"""A question is put once, and once more with the reason why the answer was no good."""


class Completer(Protocol):
    """What the pipeline needs of an endpoint (persqa_client.chat.sessions.Session, or a fake)."""

    async def complete(self, request: Request) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What answering a row takes. ``load`` turns one picture reference into a Picture or raises RowError."""

    completer: Completer
    load: Callable[[str], Awaitable[Picture]]
    asks: AskMaker

    async def answer_row(self, row: Row | BadRow, unit: Unit) -> Outcome:
        """The record of a unit, or its failure. RunStopped, Interrupted and bugs pass through."""
        if isinstance(row, BadRow):
            return Failure(unit, row.code, row.message)
        ask = self.asks.make(row, unit)
        try:
            pictures = tuple([await self.load(reference) for reference in row.images])
        except RowError as error:
            return Failure(unit, error.code, f"Line {unit.row}: {error.message}")
        return await self.answer(ask, pictures)

    async def answer(self, ask: Ask, pictures: tuple[Picture, ...]) -> Outcome:
        """Asks, and asks again with the reason where the answer is no good."""
        request = Request(ask.system, pictures, ask.prompt, ask.seed, ask.pattern)
        attempts, usage, raw = 0, Usage(), ""
        problem: Problem | None = None
        for number in range(1, ASKS + 1):
            try:
                reply = await self.completer.complete(request)
            except RowError as error:
                return refused_request(ask, error, attempts, usage, raw, number)
            attempts, usage = attempts + reply.attempts, usage + reply.completion.usage
            answer = read_answer(reply.completion, ask)
            problem = judge(reply.completion, answer, ask)
            if problem is None:
                return record(ask, answer, reply, attempts, usage, number)
            raw = reply.completion.refusal or reply.completion.text
            turns = put_again(ask.question, ask.tag, raw, problem)
            request = replace(request, seed=(ask.seed + number) % 2**31, turns=turns)
        assert problem is not None
        message = f"Line {ask.unit.row}: the answer was refused twice, at last because {problem.reason}."
        return Failure(ask.unit, problem.code, message, "answer", attempts, raw, usage, ASKS)


def record(ask: Ask, answer: Answer, reply: Reply, attempts: int, usage: Usage, asks: int) -> Record:
    steps = [*(["constraint"] if reply.constrained else []), *answer.made_good_by, *(["re-ask"] if asks > 1 else [])]
    return Record(
        unit=ask.unit,
        kind=ask.kind,
        tag=ask.tag,
        question=ask.question,
        answer=answer.text,
        raw=reply.completion.text,
        seed=ask.seed,
        model=reply.completion.model,
        finish_reason=reply.completion.finish_reason,
        usage=usage,
        attempts=attempts,
        asks=asks,
        made_good_by=tuple(steps),
    )


def refused_request(ask: Ask, error: RowError, attempts: int, usage: Usage, raw: str, asks: int) -> Failure:
    return Failure(
        ask.unit,
        error.code,
        f"Line {ask.unit.row}: {error.message}",
        "endpoint",
        attempts + error.attempts,
        error.raw or raw or None,
        usage,
        asks,
    )
