"""Stops a run whose answers fail the checks, one after another. Until then, the failures are held back.

A model can fail while its server still answers. For example, every answer is "!!!!" after a numerical error, or a
refusal. If it has answered a row before, that row is asked again, to find out whether the rows or the model are the
cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from persqa_client.engines.engine import Engine, Job
from persqa_client.engines.row_feed import TaskPlanner
from persqa_client.errors import RunStopped
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.types import Row, TaskId

# Minimum number of held rows at the end of the input for which the model is checked before they are stored.
MIN_STREAK = 3
# Maximum characters of an answer in a message.
EXAMPLE_LENGTH = 160
# Advice by code of the check of answers.
BAD_ANSWER_ADVICE = {
    **dict.fromkeys(
        ("no_tag", "pronoun_only", "only_tag", "placeholder", "unknown_tag"), "Another --strategy may help."
    ),
    "truncated": "A larger --max-tokens may help.",
    "wrong_language": "Check --language.",
    "not_verified": "--verify off accepts answers that the model itself does not confirm.",
    "name_leak": "Check --names.",
}
OTHER_ADVICE = "Check the model and the server's log."


class RejectedAnswer(NamedTuple):
    failure: Failure
    # Number of jobs that had ended, including this one.
    ended: int


class BadAnswers:
    """Holds failures of the answer checks with any code, until an answer passes the checks.

    ``limit``: number of consecutive failures after which the model counts as bad; 0: there is no check.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[RejectedAnswer] = []
        self._in_a_row = 0
        # Number of failures that were forgotten because of a stop. The next run asks their rows again.
        self.dropped = 0

    @property
    def is_at_limit(self) -> bool:
        return 0 < self._limit <= self._in_a_row

    @property
    def has_enough_for_check(self) -> bool:
        return bool(self._limit) and self._in_a_row >= min(MIN_STREAK, self._limit)

    def admit(self, outcome: Outcome, *, began: int, ended: int) -> list[Outcome]:
        """Returns the outcomes that may be stored now.

        ``began``, ``ended``: number of jobs that had ended when this one began, and after this one. A good answer
        releases the failures that ended before its job began, because the model worked after them.
        """
        if isinstance(outcome, Failure):
            if outcome.stage != "answer" or not self._limit:
                return [outcome]
            self._held.append(RejectedAnswer(outcome, ended))
            self._in_a_row += 1
            return []
        self._in_a_row = 0
        if not self._held:
            return [outcome]
        own = [held.failure for held in self._held if held.ended <= began]
        self._held = [held for held in self._held if held.ended > began]
        return [*own, outcome]

    def release(self) -> list[Outcome]:
        """Returns all held failures. Call it if the model works, or at the end of the run."""
        released: list[Outcome] = [held.failure for held in self._held]
        self._held.clear()
        self._in_a_row = 0
        return released

    def drop(self) -> None:
        """Forgets the held failures, because the run is stopped."""
        self.dropped += len(self.release())

    def explain(self, *, checked: bool) -> RunStopped:
        """``checked``: whether a row that had been answered before was asked again."""
        codes = Counter(held.failure.code for held in self._held)
        example = self._held[-1].failure
        counts = ", ".join(f"{name} {count:,}" for name, count in codes.most_common())
        again = ", and so was the answer to a row that had been answered before" if checked else ""
        return RunStopped(
            example.code,
            f"The last {len(self._held):,} answers were rejected ({counts}){again}, so the run was stopped. "
            f"{example.message}{quote_answer(example)} None of these rows was marked as failed. "
            f"{BAD_ANSWER_ADVICE.get(example.code, OTHER_ADVICE)} If the rows are the reason, let them fail with "
            "--max-bad-answers 0.",
        )


def quote_answer(failure: Failure) -> str:
    """The answer on one line, shortened."""
    text = " ".join((failure.raw or "").split())
    shown = text if len(text) <= EXAMPLE_LENGTH else f"{text[:EXAMPLE_LENGTH]}…"
    if not shown:
        return " The answer had no text."
    return f' The answer was: "{shown}"' + ("" if shown[-1] in ".!?…" else ".")


class ModelCheck:
    """Asks a row again that the model has answered, to find out whether the rows or the model caused the held failures.

    ``find_answered`` returns a row that was answered in an earlier process, or None.
    """

    def __init__(
        self, bad_answers: BadAnswers, engine: Engine, plan: TaskPlanner, find_answered: Callable[[], Row | None]
    ) -> None:
        self._bad_answers = bad_answers
        self._engine = engine
        self._plan = plan
        self._find_answered = find_answered
        # Latest row with a good answer.
        self._latest: tuple[Row, TaskId] | None = None
        # Answered rows that are left to ask again; None if none was asked again since the latest good answer.
        self._left: list[tuple[Row, TaskId]] | None = None
        # The job of the check in progress.
        self.job: Job | None = None

    def record_answer(self, row: Row, task_id: TaskId) -> None:
        self._latest, self._left = (row, task_id), None

    def start_or_stop(self) -> None:
        """Starts a check; stops the run if no row was ever answered."""
        if not self._start():
            self._engine.stop_with(self._bad_answers.explain(checked=False))

    def _start(self) -> bool:
        if self._left is None:
            earlier = self._find_answered()
            self._left = [self._latest] if self._latest is not None else []
            self._left += [(earlier, self._plan.task_ids(earlier)[0])] if earlier is not None else []
        if not self._left:
            return False
        row, task_id = self._left.pop(0)
        self.job = Job(row, task_id, self._plan.weigh(row, task_id))
        return True

    def next_job(self, *, at_end: bool) -> Job | None:
        """The job of the check, once nothing else is in flight. ``at_end``: whether all rows were read."""
        if self._engine.running:
            return None
        if at_end and self.job is None and self._bad_answers.has_enough_for_check:
            self._start()
        return self.job

    def handle_result(self, outcome: Outcome) -> list[Outcome]:
        """Decides by the outcome of the check. Returns the held failures that may be stored now."""
        self.job = None
        if isinstance(outcome, Record):
            self._left = None
            return self._bad_answers.release()
        if self._engine.stopping:
            self._bad_answers.drop()
        elif self._left:
            self._start()
        elif outcome.stage == "answer":
            self._engine.stop_with(self._bad_answers.explain(checked=True))
        elif not self._bad_answers.is_at_limit:
            return self._bad_answers.release()
        return []


class CheckedJobs(Iterator[Job | None]):
    """Yields the jobs of the rows and of model checks.

    After StopIteration it yields again if a check was started since, so callers may call ``next`` again.
    """

    def __init__(self, rows: Iterator[Job | None], check: ModelCheck) -> None:
        self._rows = rows
        self._check = check

    def __next__(self) -> Job | None:
        job = self._check.next_job(at_end=False)
        if job is not None:
            return job
        try:
            return next(self._rows)
        except StopIteration:
            job = self._check.next_job(at_end=True)
            if job is None:
                raise
            return job
