"""Asks the model whether its own answer is right: once with the pictures, and once without them as a control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from persqa_client.answers.clean import remove_thinking
from persqa_client.answers.parse import Answer
from persqa_client.config import VerifyChoice
from persqa_client.endpoints.profile import Reply
from persqa_client.errors import Interrupted, RowError, RunStopped
from persqa_client.outcomes import AnswerVerdict, Verification
from persqa_client.questions.prompts import build_verification_prompt, read_verdict
from persqa_client.types import Completion, EncodedImage, Problem, Request, Task

Ask = Callable[[Request], Awaitable[Reply]]

# Enough for a verdict in JSON, or for one that is explained in a sentence.
VERDICT_TOKENS = 64
# Requests with the pictures, and without them.
MAX_VERDICTS = 2
NOT_VERIFIED = Problem("not_verified", "the model says that it is not right, when asked about it with the picture")
# Doubts about an answer that stays, because there was no verdict.
DOUBTS: dict[AnswerVerdict, tuple[str, ...]] = {"unreadable": ("unreadable_verdict",), "failed": ("unverified",)}


def needs_verification(choice: VerifyChoice, doubts: tuple[str, ...]) -> bool:
    return choice == "all" or (choice == "doubtful" and bool(doubts))


async def verify_answer(
    ask: Ask, task: Task, answer: Answer, reply: Reply, images: tuple[EncodedImage, ...]
) -> Verification:
    """``reply`` is the one that the answer came with.

    A request that fails for good, or that the run's stop interrupts, leaves the answer as it is.
    """
    request = make_request(task, answer, reply.completion, images)
    verification = await ask_verdict(ask, request, task)
    if verification.verdict not in ("yes", "no") or not images:
        return verification
    control = await ask_verdict(ask, replace(request, pictures=()), task)
    return add_cost(replace(verification, blind=control.verdict), control)


def make_request(task: Task, answer: Answer, completion: Completion, images: tuple[EncodedImage, ...]) -> Request:
    """Begins like the request for the answer, so that servers have the pictures in their cache."""
    prompt, pattern = build_verification_prompt(task, answer.text)
    # Models that think first need room for it.
    thinks = completion.reasoning_tokens > 0 or "thinking" in answer.steps
    max_tokens = None if thinks else VERDICT_TOKENS
    return Request(task.system, images, prompt, task.seed, pattern, max_tokens=max_tokens, is_verification=True)


async def ask_verdict(ask: Ask, request: Request, task: Task) -> Verification:
    try:
        reply = await ask(request)
    except RowError as error:
        return Verification("failed", requests=error.attempts)
    except (RunStopped, Interrupted):
        # The answer has been paid for. If every request fails, that of the next row stops the run.
        return Verification("failed")
    completion = reply.completion
    verdict = "unreadable" if completion.refusal else read_verdict(remove_thinking(completion.text, task))
    return Verification(verdict, requests=reply.attempts, usage=completion.usage)


def add_cost(verification: Verification, other: Verification | None) -> Verification:
    if other is None:
        return verification
    requests, usage = verification.requests + other.requests, verification.usage + other.usage
    return replace(verification, requests=requests, usage=usage)
