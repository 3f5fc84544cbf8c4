"""Exceptions: one class for each reaction.

PersQAError           base; ``str()`` is a message for users
├── MaskedError        ends the run; the message has nothing in it that may be a key
│   ├── SettingsError  a setting or a path is wrong (exit code 2)
│   ├── StorageError   the run's files cannot be written (exit code 2)
│   └── RunStopped     every row would fail in the same way (exit code 3)
│       ├── ServerFailed   a server started by this program failed to start, or exited
│       └── UnusableInput  none of the first rows is usable, or a store refuses the credentials (exit code 2)
├── RowError           a row fails permanently; it goes to the failure file
├── AttemptError       an attempt failed; ``decision`` says what to do next
├── FailedOver         the request continues at another endpoint
├── OutputClosed       the reader of standard output has ended, as ``head`` does
└── Interrupted        the run was stopped before the row was answered
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from persqa_client.keys import mask_keys

if TYPE_CHECKING:
    from persqa_client.types import ErrorDecision

# Advice in messages; a part of a sentence.
START_AGAIN = "start again with --fresh (asks everything anew and keeps the old files under a number)"


class PersQAError(Exception):
    """Base of this package's exceptions."""

    def fresh(self) -> Self:
        """A copy without traceback and context, for an error that is raised several times.

        Each raise of one instance would lengthen its traceback, which keeps the frames and their images alive.
        """
        error = type(self).__new__(type(self))
        error.args = self.args
        error.__dict__.update(self.__dict__)
        return error


class MaskedError(PersQAError):
    """Ends a run or a command. Its message may quote what was given as a setting, by mistake perhaps a key.

    ``shown``: the part of it that comes from a row of the input or from the server, where a hash is a name.
    """

    def __init__(self, message: str, shown: str = "") -> None:
        super().__init__(mask_keys(message, shown))


class SettingsError(MaskedError):
    """A setting, a path or an existing file is invalid. Nothing was sent or overwritten."""


class StorageError(MaskedError):
    """The run's files cannot be written. Existing lines are intact."""


class OutputClosed(PersQAError):
    def __init__(self) -> None:
        super().__init__("Standard output was closed by its reader.")


class RowError(PersQAError):
    """A row fails. ``code`` is a stable identifier such as ``image_missing``; ``raw`` is the text of the model or
    server.
    """

    def __init__(self, code: str, message: str, *, raw: str | None = None, attempts: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.raw = raw
        self.attempts = attempts


class AttemptError(PersQAError):
    """An attempt returned no completion."""

    def __init__(self, decision: ErrorDecision) -> None:
        super().__init__(decision.message)
        self.decision = decision


class FailedOver(PersQAError):
    def __init__(self) -> None:
        super().__init__("The endpoint is unavailable; the request continues at another one.")


class RunStopped(MaskedError):
    """Every row would fail. ``code`` is a stable identifier such as ``wrong_key``. No row is marked as failed."""

    def __init__(self, code: str, message: str, shown: str = "") -> None:
        super().__init__(message, shown)
        self.code = code
        self.message: str = self.args[0]


class ServerFailed(RunStopped):
    """``log`` holds the last lines of its log, which ``str()`` appends to the message."""

    def __init__(self, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(code, message)
        self.log = tuple(map(mask_keys, log))

    def __str__(self) -> str:
        return "\n  ".join((self.message, *self.log))


class UnusableInput(RunStopped):
    """None of the first rows is usable, and ``code`` is that of the first one; or a store refuses the credentials with
    which pictures are read.
    """


class Interrupted(PersQAError):
    def __init__(self) -> None:
        super().__init__("The run was stopped before this row was answered; the next run asks it.")
