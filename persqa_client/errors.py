"""The error tree: one class for each different reaction. Pure.

PersQAError
├── SettingsError      a setting, a path or a file of the run is wrong: nothing was sent (exit 2)
├── StorageError       the run's own files cannot be written: stopped, resumable (exit 2)
├── RowError           this row cannot become an answer: it goes to the failure file with its code
├── AttemptError       one attempt brought no answer; its verdict says what follows (client/retry.py)
├── Away               this endpoint can't answer now, another can: the request goes to that one (endpoints/pool.py)
├── RunStopped         the endpoint refuses or stays away: every row would fail alike (exit 3, resumable)
│   └── ServerFailed   a server of our own did not come up, or died: waiting for it would be in vain
└── Interrupted        the run was asked to stop; the row keeps its place and runs next time
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persqa_client.types import ErrorDecision


class PersQAError(Exception):
    """Base of everything that this package raises on purpose. ``str()`` is one sentence for a person."""


class SettingsError(PersQAError):
    """A setting, an input path or an existing file stands in the way; nothing was sent and nothing was overwritten."""


class StorageError(PersQAError):
    """The run's files can't be written (disk full, file system gone read-only); what was written stays good."""


class RowError(PersQAError):
    """This row fails for good. ``code`` is a short stable word, ``raw`` what the model or server said."""

    def __init__(self, code: str, message: str, *, raw: str | None = None, attempts: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.raw = raw
        self.attempts = attempts


class AttemptError(PersQAError):
    """One attempt brought no completion; ``decision`` says what that means and what to do."""

    def __init__(self, verdict: ErrorDecision) -> None:
        super().__init__(verdict.message)
        self.decision = verdict


class FailedOver(PersQAError):
    """A request is given back by an endpoint that is away, because another one can take it over."""

    def __init__(self) -> None:
        super().__init__("The endpoint is away, and another one takes the request over.")


class RunStopped(PersQAError):
    """The endpoint refuses this run, or was away for too long. ``code`` is the reason; no row has failed for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ServerFailed(RunStopped):
    """A server of our own did not come up, or ended without being asked. ``log`` is the end of what it said, lines that
    follow the sentence in ``str()``."""

    def __init__(self, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(code, message)
        self.log = tuple(log)

    def __str__(self) -> str:
        return "\n  ".join((self.message, *self.log))


class Interrupted(PersQAError):
    """Raised in rows that had not been sent when the run was asked to stop."""

    def __init__(self) -> None:
        super().__init__("The run was asked to stop before this row was answered; it keeps its place.")
