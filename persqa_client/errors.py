"""Exceptions: one class for each reaction.

PersQAError
├── SettingsError      a setting or a path is wrong; nothing was sent (exit code 2)
├── StorageError       the run's files cannot be written; the run can be resumed (exit code 2)
├── RowError           a row fails permanently; it goes to the failure file with its code
├── AttemptError       an attempt failed; its decision says what to do next (client/retry.py)
├── FailedOver         the request continues at another endpoint (endpoints/pool.py)
├── RunStopped         every row would fail in the same way; the run can be resumed (exit code 3)
│   └── ServerFailed   a server started by this program failed to start, or exited
└── Interrupted        the run was stopped before the row was answered; a resumed run asks it again
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persqa_client.types import ErrorDecision


class PersQAError(Exception):
    """Base of this package's exceptions. ``str()`` is a message for users."""


class SettingsError(PersQAError):
    """A setting, an input path or an existing file is invalid. Nothing was sent or overwritten."""


class StorageError(PersQAError):
    """The run's files cannot be written, for example because the disk is full. Existing lines are intact."""


class RowError(PersQAError):
    """A row fails permanently.

    ``code`` is a stable identifier such as ``image_missing``; ``raw`` is the text of the model or server.
    """

    def __init__(self, code: str, message: str, *, raw: str | None = None, attempts: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.raw = raw
        self.attempts = attempts


class AttemptError(PersQAError):
    """An attempt returned no completion. ``decision`` has the reason and the reaction."""

    def __init__(self, decision: ErrorDecision) -> None:
        super().__init__(decision.message)
        self.decision = decision


class FailedOver(PersQAError):
    """The endpoint is unavailable, and another one takes over the request."""

    def __init__(self) -> None:
        super().__init__("The endpoint is unavailable; the request continues at another one.")


class RunStopped(PersQAError):
    """The endpoint rejects every request, or was unavailable for too long.

    ``code`` is a stable identifier such as ``wrong_key``. No row is marked as failed.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ServerFailed(RunStopped):
    """A server started by this program failed to start, or exited during a run.

    ``log`` holds the last lines of its log, which ``str()`` appends to the message.
    """

    def __init__(self, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(code, message)
        self.log = tuple(log)

    def __str__(self) -> str:
        return "\n  ".join((self.message, *self.log))


class Interrupted(PersQAError):
    """The run was stopped before this row was answered. A resumed run asks it again."""

    def __init__(self) -> None:
        super().__init__("The run was stopped before this row was answered; the next run asks it.")
