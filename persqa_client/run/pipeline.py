"""Answers one task: builds it, loads its images, sends the request, checks the answer, and re-asks if necessary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from persqa_client.answers.doubts import find_doubts
from persqa_client.answers.parse import Answer, check_answer, parse_answer
from persqa_client.config import VerifyChoice
from persqa_client.endpoints.profile import Reply
from persqa_client.engines.engine import AnswerFunction, SetWeight
from persqa_client.errors import RowError
from persqa_client.images.loader import LoadImage
from persqa_client.images.tokens import ModelFamily, count_image_tokens
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture, Verification
from persqa_client.questions.prompts import build_reask_prompt
from persqa_client.questions.tasks import TaskMaker, name_row, place_message
from persqa_client.run.verification import DOUBTS, NOT_VERIFIED, add_cost, needs_verification, verify_answer
from persqa_client.types import (
    BadRow,
    EncodedImage,
    FileStamp,
    Problem,
    Request,
    Row,
    Task,
    TaskId,
    Usage,
)

# A rejected answer is asked for once more, and then once at another endpoint, if there is one.
MAX_ASKS = 2


class Completer(Protocol):
    """Interface of a session or a pool."""

    async def complete(self, request: Request) -> Reply: ...


@dataclass(slots=True)
class AskHistory:
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    asks: int = 0
    # Code of the problem of the first answer, if it was rejected.
    first_code: str | None = None
    # Text of the last rejected answer.
    last_text: str = ""
    # Doubts about the accepted answer, and its verification.
    doubts: tuple[str, ...] = ()
    verification: Verification | None = None
    raws: list[RawAnswer] = field(default_factory=list)
    pictures: tuple[SentPicture, ...] = ()

    def add_verification(self, verification: Verification) -> None:
        self.attempts += verification.requests
        self.usage += verification.usage
        self.verification = add_cost(verification, self.verification)


def ignore_question(question: str) -> None:
    """Default for callers that show no warnings."""


# Called with the row, the reference and the file stamp of each image that is sent.
NoteImage = Callable[[Row, str, FileStamp | None], None]


def ignore_image(row: Row, reference: str, file: FileStamp | None) -> None:
    """Default for callers that don't compare the images of several questions."""


def leave_unwrapped(answer: AnswerFunction) -> AnswerFunction:
    """Default for callers that don't watch the outcomes."""
    return answer


def ignore_weight(weight: int) -> None:
    """Default for callers without a memory limit."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Answers the tasks of a run. ``load`` loads the image of a reference, with its box if it has one. It raises
    RowError.
    """

    completer: Completer
    load: LoadImage
    task_maker: TaskMaker
    # Maximum tokens of an answer.
    max_tokens: int = 512
    # Context length, if known.
    context: int | None = None
    # Model family for counting image tokens; None if unknown.
    model_family: ModelFamily | None = None
    # The image of the main character that all rows share, and that is in memory once.
    shared_reference: str | None = None
    # Whether each image is sent once for all its questions.
    share_images: bool = False
    # Which accepted answers the model verifies.
    verify: VerifyChoice = "off"
    # Called with each question before it is sent.
    note_question: Callable[[str], None] = ignore_question
    # Called with each image before it is sent.
    note_image: NoteImage = ignore_image

    async def answer(self, row: Row | BadRow, task_id: TaskId, set_weight: SetWeight = ignore_weight) -> Outcome:
        """Returns a record or a failure; only RunStopped and Interrupted are raised.

        ``set_weight`` is called with the task's bytes in memory once its images are loaded.
        """
        if isinstance(row, BadRow):
            return Failure(task_id, row.code, row.message, whole_row=True)
        task: Task | None = None
        try:
            task = self.task_maker.make_task(row, task_id)
            loaded = [await self.load(reference, mark) for reference, mark in row.views]
        except RowError as error:
            asked = None if task is None else describe_task(task)
            return Failure(task_id, error.code, place_message(row, error.message), task=asked)
        self.note_question(task.question)
        images, files = tuple([each.image for each in loaded]), tuple([each.file for each in loaded])
        held = len(row.line)
        for reference, image, file in zip(row.pictures, images, files, strict=True):
            self.note_image(row, reference, file)
            held += 0 if reference == self.shared_reference else len(image.data)
        # The first question's weight includes the images that the others share.
        set_weight(0 if self.share_images and task_id.question > 0 else held)
        return await self._ask(task, images, files)

    async def _ask(self, task: Task, images: tuple[EncodedImage, ...], files: tuple[FileStamp | None, ...]) -> Outcome:
        request = Request(task.system, images, task.prompt, task.seed, task.pattern, task.prefill)
        history = AskHistory()
        complete = self.completer.complete
        while True:
            try:
                reply = await complete(request)
            except RowError as error:
                return make_request_failure(task, error, history)
            history.attempts += reply.attempts
            history.usage += reply.completion.usage
            history.asks += 1
            answer = parse_answer(reply.completion, task)
            max_tokens = request.max_tokens or self.max_tokens
            problem = check_answer(reply.completion, answer, task, max_tokens)
            if reply.source is not None:
                # Only the checks count: a verdict on an answer does not show that the endpoint is bad.
                reply.source.judge(problem.code if problem else None)
            if problem is None:
                history.doubts = find_doubts(answer.text, task, answer.steps, history.first_code)
                if needs_verification(self.verify, history.doubts):
                    ask = self.completer.complete if reply.source is None else reply.source.ask_again
                    verification = await verify_answer(ask, task, answer, reply, images)
                    history.add_verification(verification)
                    history.doubts += DOUBTS.get(verification.verdict, ())
                    problem = NOT_VERIFIED if verification.verdict == "no" else None
            history.raws.append(make_raw_answer(reply, answer, problem, max_tokens, request.seed))
            history.pictures = self._describe_pictures(reply.pictures or images, files)
            if problem is None:
                return make_record(task, answer, reply, history)
            history.first_code = history.first_code or problem.code
            history.last_text = reply.completion.refusal or reply.completion.text
            reask = self._make_reask(task, request, problem, reply, history)
            if reask is not None:
                request = reask
            elif history.asks == MAX_ASKS and reply.source is not None and reply.source.is_ready:
                # The model at this endpoint may be bad.
                request = replace(request, seed=(task.seed + history.asks) % 2**31, turns=())
                complete = reply.source.ask_another
            else:
                if reply.traffic is not None:
                    reply.traffic.failed_rows += 1
                return make_answer_failure(task, problem, history)

    def _make_reask(
        self, task: Task, request: Request, problem: Problem, reply: Reply, history: AskHistory
    ) -> Request | None:
        """The request for the second ask: with twice the tokens after a truncated answer, otherwise with the reason.

        None if there is no second ask.
        """
        if history.asks >= MAX_ASKS:
            return None
        seed = (task.seed + history.asks) % 2**31
        if problem.code != "truncated":
            return replace(request, seed=seed, turns=build_reask_prompt(task, history.last_text, problem))
        max_tokens = 2 * self.max_tokens
        if self.context is not None and reply.completion.usage.prompt:
            max_tokens = min(max_tokens, self.context - reply.completion.usage.prompt)
        return replace(request, seed=seed, max_tokens=max_tokens) if max_tokens > self.max_tokens else None

    def _describe_pictures(
        self, images: tuple[EncodedImage, ...], files: tuple[FileStamp | None, ...]
    ) -> tuple[SentPicture, ...]:
        family = self.model_family
        pictures = [
            SentPicture(
                image.media_type,
                image.width,
                image.height,
                len(image.data),
                count_image_tokens(image.width, image.height, family) if family else None,
                *(file or ()),
            )
            for image, file in zip(images, files, strict=True)
        ]
        return tuple(pictures)


def describe_task(task: Task | Record) -> AskedTask:
    return AskedTask(
        task.kind,
        task.tag,
        task.question,
        task.seed,
        task.strategy,
        task.question_id,
        task.category,
        task.surrogate,
    )


def make_raw_answer(reply: Reply, answer: Answer, problem: Problem | None, max_tokens: int, seed: int) -> RawAnswer:
    completion = reply.completion
    # What made the answer begin with the tag.
    helpers = [*(["constraint"] if reply.constrained else []), *(["prefill"] if reply.prefilled else [])]
    return RawAnswer(
        completion.text,
        problem.code if problem is not None else None,
        (*helpers, *answer.steps),
        completion.finish_reason,
        completion.sent_finish_reason,
        completion.refusal,
        completion.usage.prompt,
        completion.usage.completion,
        max_tokens,
        seed,
        completion.model,
    )


def make_record(task: Task, answer: Answer, reply: Reply, history: AskHistory) -> Record:
    return Record(
        task_id=task.task_id,
        kind=task.kind,
        tag=task.tag,
        question=task.question,
        answer=answer.text,
        raw=reply.completion.text,
        seed=task.seed,
        model=reply.completion.model,
        finish_reason=reply.completion.sent_finish_reason or reply.completion.finish_reason,
        usage=history.usage,
        attempts=history.attempts,
        asks=history.asks,
        made_good_by=(*history.raws[-1].steps, *(["re-ask"] if history.asks > 1 else [])),
        refused=history.first_code,
        strategy=task.strategy,
        question_id=task.question_id,
        category=task.category,
        pictures=history.pictures,
        doubts=history.doubts,
        verification=history.verification,
        surrogate=task.surrogate,
        raws=tuple(history.raws),
    )


def name_task(task: Task) -> str:
    return name_row(task.task_id.row, task.file, task.counted_as)


def make_answer_failure(task: Task, problem: Problem, history: AskHistory) -> Failure:
    rejected = "The answer was rejected"
    if history.asks > 1:
        rejected = f"{'Both' if history.asks == MAX_ASKS else f'All {history.asks}'} answers were rejected; last reason"
    message = f"{name_task(task)}: {rejected}: {problem.message}."
    return Failure(
        task.task_id,
        problem.code,
        message,
        "answer",
        history.attempts,
        history.last_text,
        history.usage,
        history.asks,
        history.first_code,
        verification=history.verification,
        task=describe_task(task),
        pictures=history.pictures,
        raws=tuple(history.raws),
    )


def make_request_failure(task: Task, error: RowError, history: AskHistory) -> Failure:
    return Failure(
        task.task_id,
        error.code,
        f"{name_task(task)}: {error.message}",
        "endpoint",
        history.attempts + error.attempts,
        error.raw or history.last_text or None,
        history.usage,
        history.asks + 1,
        history.first_code,
        verification=history.verification,
        task=describe_task(task),
        pictures=history.pictures,
        raws=tuple(history.raws),
    )
