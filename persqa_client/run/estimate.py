"""Forecasts what a run takes: by its input alone, and better by a pilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from persqa_client.config import Limits
from persqa_client.run.input_survey import InputSurvey
from persqa_client.run.intervals import Estimate, estimate_by_ratio, estimate_total
from persqa_client.run.pilot import PilotQuestion
from persqa_client.run.pipeline import MAX_ASKS
from persqa_client.run.settings import RunSettings
from persqa_client.run.verification import MAX_VERDICTS


@dataclass(frozen=True, slots=True)
class RunEstimate:
    requests: Estimate
    prompt_tokens: Estimate
    completion_tokens: Estimate
    # Sum of prompts and answers.
    tokens: Estimate
    # None if the pilot did not show the time of a request.
    seconds: Estimate | None
    # What the seconds assume.
    pace: str


class QuestionBounds(NamedTuple):
    """The most that one question may take."""

    requests: float
    completion_tokens: float


def bound_question(settings: RunSettings) -> QuestionBounds:
    """Bounds of a question with all asks and verifications, each with all its attempts.

    A question that several endpoints can answer is asked once more, and a request may begin again at another endpoint.
    """
    endpoints = len(settings.endpoints)
    asks = MAX_ASKS + (endpoints > 1)
    verdicts = 0 if settings.recipe.verify == "off" else MAX_VERDICTS
    # From the second ask on, an answer may have twice the tokens.
    shares = 2 * asks - 1 + asks * verdicts
    return QuestionBounds(
        asks * (1 + verdicts) * settings.limits.max_attempts * endpoints, shares * settings.sampling.max_tokens
    )


def estimate_run(
    survey: InputSurvey,
    questions: Sequence[PilotQuestion],
    seconds_per_request: float | None,
    *,
    limits: Limits,
    at_once: int,
    bounds: QuestionBounds,
) -> RunEstimate:
    """``questions``: those of the pilot, at least one. ``at_once``: requests in flight of the pilot."""
    total = max(survey.questions, len(questions))
    requests = estimate_total([question.requests for question in questions], total, bounds.requests)
    answered = [question.completion_tokens for question in questions]
    completion = estimate_total(answered, total, bounds.completion_tokens)
    pairs = [(question.expected_prompt_tokens, question.prompt_tokens) for question in questions]
    expected = survey.prompt_tokens
    if sum(number for _, number in pairs) and all(other > 0 for other, _ in pairs):
        prompt = estimate_by_ratio(pairs, expected, len(questions) / total)
    else:
        prompt = Estimate(expected, expected, expected)  # the server reports no tokens
    seconds, pace = None, ""
    if seconds_per_request is not None:
        seconds, pace = estimate_seconds(requests, prompt, completion, seconds_per_request, limits, at_once)
    return RunEstimate(requests, prompt, completion, prompt.plus(completion), seconds, pace)


def estimate_seconds(
    requests: Estimate,
    prompt: Estimate,
    completion: Estimate,
    seconds_per_request: float,
    limits: Limits,
    at_once: int,
) -> tuple[Estimate, str]:
    """The slowest of the server and the rate limits. A request takes the longer, the longer its answer is."""
    length = completion if completion.value else requests
    at_server = requests.value * seconds_per_request / at_once
    server = Estimate(
        at_server, at_server * length.low / (length.value or 1), at_server * length.high / (length.value or 1)
    )
    each = "request" if at_once == 1 else f"{at_once} requests at once, each"
    found = " (auto may find that the server takes more at once, or fewer)" if limits.concurrency == "auto" else ""
    paces = [(server, f"at {each} as fast as in the pilot{found}")]
    if limits.rps is not None:
        paces.append((requests.scaled(1 / limits.rps), f"at --rps {limits.rps:g}"))
    if limits.rpm is not None:
        paces.append((requests.scaled(60 / limits.rpm), f"at --rpm {limits.rpm:g}"))
    if limits.tpm is not None:
        paces.append((prompt.plus(completion).scaled(60 / limits.tpm), f"at --tpm {limits.tpm}"))
    return max(paces, key=lambda pace: pace[0].value)
