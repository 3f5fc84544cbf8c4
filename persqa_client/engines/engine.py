"""The interface of an engine, which runs the jobs of a run concurrently, and yields their outcomes as they arrive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from persqa_client.errors import RunStopped
from persqa_client.outcomes import Outcome
from persqa_client.types import BadRow, Row, TaskId

SetWeight = Callable[[int], None]
AnswerFunction = Callable[[Row | BadRow, TaskId, SetWeight], Coroutine[Any, Any, Outcome]]


@dataclass(slots=True, eq=False)
class Job:
    row: Row | BadRow
    task_id: TaskId
    weight: int
    # Number of jobs that had ended when this one began.
    began: int = 0
    # When it began, in seconds of the event loop's clock.
    began_at: float = 0.0


class Engine(Protocol):
    """The interface that a row loop and the stop of a run use."""

    # Number of jobs that run; number of jobs with an outcome.
    @property
    def running(self) -> int: ...

    @property
    def ended(self) -> int: ...

    # Whether every job was started and has an outcome; whether no more are started.
    @property
    def complete(self) -> bool: ...

    @property
    def stopping(self) -> bool: ...

    # Whether no job is left to start; of the jobs that run, the one with the lowest row.
    @property
    def all_started(self) -> bool: ...

    @property
    def oldest(self) -> Job | None: ...

    # Whether the images of a job could be loaded.
    @property
    def has_loaded(self) -> bool: ...

    def run(
        self, jobs: Iterator[Job | None], has_room: Callable[[], bool]
    ) -> AsyncGenerator[tuple[Job, Outcome], None]: ...

    def stop(self) -> None: ...

    def stop_with(self, error: RunStopped) -> None: ...

    def abort(self) -> None: ...
