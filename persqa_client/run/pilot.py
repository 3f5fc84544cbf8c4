"""A pilot: answers a few rows of an input, to estimate the tokens, time and cost of all rows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from persqa_client.engines.engine import AnswerFunction, SetWeight
from persqa_client.engines.row_loop import ANSWERING
from persqa_client.errors import RunStopped
from persqa_client.images.tokens import ModelFamily, detect_model_family
from persqa_client.outcomes import Failure, Outcome
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.probing.vision import check_vision, detect_patch_size
from persqa_client.run.compose import FAMILY_BY_PATCH, Composition
from persqa_client.run.input_survey import RowMeter, try_to_measure
from persqa_client.run.pacing import plan_probes
from persqa_client.run.plan import RunPlan
from persqa_client.run.preview import Sample, make_preview_settings
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.types import BadRow, Row, TaskId

# Seconds between looks at the load.
LOOK_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class PilotQuestion:
    """A question that was asked, whether it was answered or not."""

    # As estimated without a request.
    expected_prompt_tokens: float
    prompt_tokens: int
    completion_tokens: int
    requests: int
    code: str | None = None


async def find_model_family(plan: RunPlan) -> ModelFamily | None:
    """Detects the family by the model's name or, if that is not enough, by the tokens that the first server counts for
    two small pictures.

    None if it is not known, if the settings leave no room for probes, and if the server can't be used, which the pilot
    reports.
    """
    settings = plan.settings
    if (family := detect_model_family(settings.endpoint.model)) is not None:
        return family
    if not settings.probes or plan_probes(settings, "all")[0] == "identity":
        return None
    async with Composition(plan) as composition:
        with suppress(RunStopped):
            vision, _ = await check_vision(ProbeSession.of(composition.pool.sessions[0]))
            return FAMILY_BY_PATCH.get(detect_patch_size(vision) or 0)
    return None


def make_pilot_settings(settings: RunSettings, rows: int) -> RunSettings:
    """The settings of a pilot of this many rows. With ``auto``, all requests are sent at once, so that none waits."""
    settings, limits = make_preview_settings(settings), settings.limits
    if limits.concurrency != "auto":
        return settings
    at_once = min(rows * settings.recipe.questions, limits.max_concurrency)
    return settings.model_copy(update={"limits": limits.model_copy(update={"concurrency": at_once})})


class Pilot:
    """Keeps what the rows of a sample took."""

    def __init__(self, sample: Sample, meter: RowMeter) -> None:
        self.sample = sample
        self.questions: dict[TaskId, PilotQuestion] = {}
        # Numbers of the rows that failed before a request.
        self.unusable: set[int] = set()
        # Seconds, and the sum of the requests in flight over them.
        self.seconds = 0.0
        self._busy_seconds = 0.0
        self._meter = meter

    def watch(self, answer: AnswerFunction) -> AnswerFunction:
        async def answer_and_keep(row: Row | BadRow, task_id: TaskId, set_weight: SetWeight) -> Outcome:
            outcome = await answer(row, task_id, set_weight)
            if isinstance(row, BadRow) or not outcome.attempts:
                self.unusable.add(task_id.row)
            elif task_id not in self.questions:  # the model check asks an answered row again
                self.questions[task_id] = await asyncio.to_thread(self._describe, row, outcome)
            return outcome

        return answer_and_keep

    def _describe(self, row: Row, outcome: Outcome) -> PilotQuestion:
        size = try_to_measure(self._meter, row)
        return PilotQuestion(
            0.0 if isinstance(size, Exception) else size.prompt_tokens / size.questions,
            outcome.usage.prompt,
            outcome.usage.completion,
            outcome.attempts,
            outcome.code if isinstance(outcome, Failure) else None,
        )

    async def watch_load(self, run: Run) -> None:
        """A monitor of the run."""
        then = None
        while True:
            now = monotonic()
            if run.progress.phase == ANSWERING and then is not None:
                self.seconds += now - then
                self._busy_seconds += (now - then) * run.pool.in_use
            then = now if run.progress.phase == ANSWERING else None
            await asyncio.sleep(LOOK_INTERVAL)

    @property
    def seconds_per_request(self) -> float | None:
        """The mean time at the server, by Little's law: load divided by throughput."""
        requests = sum(question.requests for question in self.questions.values())
        return self._busy_seconds / requests if requests and self._busy_seconds else None
