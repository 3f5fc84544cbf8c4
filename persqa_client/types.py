"""The values that travel through a run, from an input line to its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple


class TaskId(NamedTuple):
    """Identifies one question about one row. The output is sorted by it."""

    # Number of the input line, from 1, counting blank lines; in a folder, number of the picture.
    row: int
    # Index among the row's questions, from 0.
    question: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """How far an input has been read; always between two lines."""

    # Bytes read.
    offset: int
    # Lines read, including blank ones; in a folder, pictures.
    number: int
    # Digest of everything read so far, computed by the source; empty before the first line.
    digest: str


START_POSITION = Position(0, 0, "")


@dataclass(frozen=True, slots=True)
class Row:
    """A valid input line.

    ``line`` holds its bytes without the line break and without the ``error`` member of a failure file.
    """

    number: int
    line: bytes
    images: tuple[str, ...]
    question: str | None = None
    tag: str | None = None
    id: str | int | None = None
    category: str | None = None
    language: str | None = None
    # Set for a line of a failure file: index of the question that failed.
    only_question: int | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """An input line from which no question can be made, with the reason."""

    number: int
    line: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EncodedImage:
    """An image as it is sent: encoded bytes, media type, and size in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int
    # Digest of what is sent, under which the server may cache the image; None where the image is sent only once.
    uuid: str | None = None

    def __repr__(self) -> str:
        return f"<EncodedImage {self.media_type} {self.width}x{self.height}, {len(self.data) / 1000:.0f} KB>"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one or more completions, as reported by the server."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Completion:
    """A parsed response. ``text`` may be empty; ``refusal`` is the API's field of that name."""

    text: str
    finish_reason: str | None
    usage: Usage = Usage()
    model: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an answer is rejected. What the model reads about it is chosen in ``questions/prompts.py``."""

    code: str
    message: str  # For a person, as a noun phrase: "empty answer".
    variant: str = ""  # Tells apart the problems of one code about which the model reads different texts.
    found: str = ""  # The part of the answer that is wrong, where the model's text quotes it.


# Checks the cleaned text of an answer; returns what is wrong with it, or None.
Check = Callable[[str, "Task"], Problem | None]


# How an answer comes to begin with the tag. direct: the prompt asks for it. constrain: the server enforces a pattern.
# prefill: the answer's beginning is sent along. surrogate: the model is asked about an ordinary name, which is replaced
# by the tag afterwards.
Strategy = Literal["direct", "constrain", "prefill", "surrogate"]


@dataclass(frozen=True, slots=True)
class Task:
    """One question about one row: its prompt, its constraint, its checks and its seed."""

    task_id: TaskId
    kind: str
    # With brackets: <mam>.
    tag: str
    # As written to the output, always with the tag in it.
    question: str
    system: str
    prompt: str
    checks: tuple[Check, ...]
    seed: int
    # Regular expression that every good answer matches, for servers that support constrained output.
    pattern: str | None = None
    # Beginning of the answer, for servers that continue it.
    prefill: str | None = None
    # Ordinary name that replaces the tag in the prompt.
    surrogate: str | None = None
    strategy: Strategy = "direct"
    # Real names that must not appear in an answer.
    names: tuple[str, ...] = ()
    # Whether the tag's name without brackets is unambiguous, so that it can be replaced by the tag in an answer.
    repair_bare_name: bool = True
    # Id in the question bank; None for a row's own question.
    question_id: str | None = None
    # Category of the main character: human, animal, object, scene or group.
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A further turn after the prompt: a rejected answer, or the request for a better one.

    ``pictures`` of the request's images precede its text, following those of earlier turns.
    """

    role: str
    text: str
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request before dialect and encoding are applied. Images come first, then the prompt, then the turns."""

    # Not sent where empty.
    system: str
    pictures: tuple[EncodedImage, ...]
    prompt: str
    seed: int
    pattern: str | None = None
    # Beginning of the answer, which the server continues.
    prefill: str | None = None
    turns: tuple[Turn, ...] = ()
    # Overrides the run's max_tokens.
    max_tokens: int | None = None
    # uuids of images that the server has cached; they are sent without their bytes.
    known_uuids: frozenset[str] = frozenset()
    # Whether the answer is streamed; its first chunk shows that the server has received the images.
    stream: bool = False

    @property
    def uuids(self) -> tuple[str, ...]:
        return tuple(picture.uuid for picture in self.pictures if picture.uuid is not None)


class RetryAction(Enum):
    """What to do after a failed attempt."""

    # Overload: send again later. Costs no attempt; the concurrency limit shrinks.
    WAIT = "wait"
    # Transient error: send again, up to max_attempts.
    RETRY = "retry"
    # The row fails permanently.
    FAIL = "fail"
    # The run stops: every row would fail in the same way.
    STOP = "stop"
    # The server is unavailable: hold all requests until it recovers.
    AWAIT_RECOVERY = "await_recovery"
    # The server has not cached an image that was sent by uuid only: send again with its bytes. Costs no attempt.
    RESEND = "resend"
    # The server rejects a parameter: rename or drop ErrorDecision.parameter for the rest of the run.
    ADAPT = "adapt"


@dataclass(frozen=True, slots=True)
class ErrorDecision:
    """What a failed attempt means and what to do next.

    ``message`` is written for users; ``raw`` is the server's own text, shortened.
    """

    action: RetryAction
    code: str
    message: str
    # Seconds, from Retry-After or a rate-limit header.
    retry_after: float | None = None
    parameter: str | None = None
    status: int | None = None
    raw: str | None = None


class SentPicture(NamedTuple):
    """An image as it was sent, for the details of a record."""

    media_type: str
    width: int
    height: int
    bytes: int
    # Prompt tokens by the model's own rule; None where the rule is unknown.
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """An accepted answer. The fields are named as the keys of ``_meta`` in the output.

    The journal holds all of them, so that a resumed run can write the output line without asking again.
    """

    task_id: TaskId
    kind: str
    tag: str
    question: str
    answer: str
    # The model's text before cleaning and repair.
    raw: str
    seed: int
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    # Requests that counted against max_attempts, re-asking included.
    attempts: int = 1
    # How often the question was asked: 2 after a re-ask.
    asks: int = 1
    # What brought the answer into form: "constraint", "prefill", cleaning and repair steps by name, "re-ask".
    made_good_by: tuple[str, ...] = ()
    # Code of the problem that caused the re-ask.
    refused: str | None = None
    strategy: Strategy = "direct"
    question_id: str | None = None
    category: str | None = None
    pictures: tuple[SentPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that has no accepted answer.

    ``stage`` says where it failed: before the first request, at the endpoint, or when the answer was checked.
    """

    task_id: TaskId
    code: str
    message: str
    stage: Literal["input", "endpoint", "answer"] = "input"
    attempts: int = 0
    raw: str | None = None
    usage: Usage = Usage()
    asks: int = 0
    # Code of the problem that caused the re-ask.
    refused: str | None = None
    # Whether it stands for all questions of its row, because none could be asked.
    whole_row: bool = False


Outcome = Record | Failure

# A decoded JSON object from outside, not yet validated.
Json = dict[str, Any]
