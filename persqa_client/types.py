"""The vocabulary: the values that travel through a run. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple


class TaskId(NamedTuple):
    """What is asked, answered and journalled once: a question of a row. Sorting units gives the order of the output."""

    row: int
    """Number of the input line, from 1, blank lines included; in a folder, the number of the picture."""
    question: int = 0
    """Which of the row's questions, from 0."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far an input has been read: a boundary between two of its lines."""

    offset: int
    """Bytes consumed."""
    number: int
    """Lines consumed, blank ones included; in a folder, pictures."""
    digest: str
    """Digest of all that was consumed, in the reader's own way; empty before the first line."""


@dataclass(frozen=True, slots=True)
class Row:
    """An input line that could be read. ``line`` is the line's own bytes, without its end and without our ``error``."""

    number: int
    line: bytes
    images: tuple[str, ...]
    question: str | None = None
    tag: str | None = None
    id: str | int | None = None
    category: str | None = None
    language: str | None = None
    only_question: int | None = None
    """In a line of a failure file: the number of the one question that failed."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """An input line that can't be asked about: its bytes as they were, and why."""

    number: int
    line: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EncodedImage:
    """A picture as it goes over the wire: its encoded bytes, its true media type and its size in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int
    uuid: str | None = None
    """Its name for a server that is to keep it, where it may be sent more than once: a digest of what is sent."""

    def __repr__(self) -> str:
        return f"<Picture {self.media_type} {self.width}x{self.height}, {len(self.data) / 1000:.0f} KB>"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more completions, as the server counted them."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server answered, read but not judged. ``text`` may be empty, ``refusal`` is the API's own field."""

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


Check = Callable[[str, "Task"], Problem | None]
"""Judges the cleaned text of an answer. Pure."""


Strategy = Literal["direct", "constrain", "prefill", "surrogate"]
"""How the tag gets to an answer's beginning: the model is asked for it; the server is held to a pattern; the beginning
is given; or the model is asked under an ordinary name, for which the tag is put in afterwards."""


@dataclass(frozen=True, slots=True)
class Task:
    """One question with all that belongs to it: how it is put, how its answer is constrained, how it is judged."""

    task_id: TaskId
    kind: str
    tag: str
    """With its brackets: ``<mam>``."""
    question: str
    """As it will stand in the output, with the tag in it, whatever the model is asked."""
    system: str
    prompt: str
    checks: tuple[Check, ...]
    seed: int
    pattern: str | None = None
    """A regular expression that a whole good answer matches, for servers that can be held to one."""
    prefill: str | None = None
    """The beginning of the answer, which the server is to go on from."""
    surrogate: str | None = None
    """The ordinary name that stands in the prompt wherever the question has the tag."""
    strategy: Strategy = "direct"
    names: tuple[str, ...] = ()
    """Real names that no answer may have."""
    repair_bare_name: bool = True
    """Whether the tag's name without its brackets can only mean the tag: it is no word and no name of its own."""
    question_id: str | None = None
    """Of the bank's item; None for a row's own question."""
    category: str | None = None
    """What the main character is: ``human``, ``animal`` and so on."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A later turn of a conversation: the answer that was no good, or the reason why it is asked again.

    ``pictures`` of the request's stand before its text, after those of the turns before it.
    """

    role: str
    text: str
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be asked, before any dialect or encoding: pictures come first, the prompt after them, turns last."""

    system: str
    """Nothing is sent for an empty one."""
    pictures: tuple[EncodedImage, ...]
    prompt: str
    seed: int
    pattern: str | None = None
    prefill: str | None = None
    """The beginning of the answer, which the server is to go on from."""
    turns: tuple[Turn, ...] = ()
    max_tokens: int | None = None
    """Overrides the run's own setting where given."""
    known_uuids: frozenset[str] = frozenset()
    """uuids of pictures that the server has: they go by these alone."""
    stream: bool = False
    """Whether the answer is to come piece by piece, so that its beginning tells that the pictures are in."""

    @property
    def uuids(self) -> tuple[str, ...]:
        """Those of its pictures that have one."""
        return tuple(picture.uuid for picture in self.pictures if picture.uuid is not None)


class RetryAction(Enum):
    """What an attempt's failure asks for (the table "Trying again" of the README)."""

    WAIT = "wait"
    """Pressure: again later, at no cost to the row; admission shrinks."""
    RETRY = "retry"
    """Transient: again, up to the row's number of attempts."""
    FAIL = "fail"
    """This row, permanently."""
    STOP = "stop"
    """This run: every row would fail alike."""
    AWAIT_RECOVERY = "away"
    """The server is away: hold all sending until it is back."""
    RESEND = "resend"
    """Pictures that went by their uuids alone: again, with their bytes, at no cost to the row."""
    ADAPT = "adapt"
    """The dialect: rename or drop ``Verdict.parameter`` for the run."""


@dataclass(frozen=True, slots=True)
class ErrorDecision:
    """What a failed attempt means. ``message`` is for a person, ``raw`` is what the server said, cut to some lines."""

    action: RetryAction
    code: str
    message: str
    retry_after: float | None = None
    """Seconds, where the server named a time."""
    parameter: str | None = None
    status: int | None = None
    raw: str | None = None


class SentPicture(NamedTuple):
    """A picture as it was sent, for the row's details."""

    media_type: str
    width: int
    height: int
    bytes: int
    tokens: int | None
    """What it counts for in the prompt, by the model's own rule; None where the rule is not known."""


@dataclass(frozen=True, slots=True)
class Record:
    """A good answer. It is journalled as it is, so resuming needs nothing else."""

    task_id: TaskId
    kind: str
    tag: str
    question: str
    answer: str
    raw: str
    """What the model said, before cleaning and repair."""
    seed: int
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    attempts: int = 1
    """Requests sent for it that cost an attempt, over all asks."""
    asks: int = 1
    """2 where it was asked again with the reason."""
    made_good_by: tuple[str, ...] = ()
    """Which steps the answer owes its form to: ``constraint``, each cleaning and tag repair by its name, ``re-ask``."""
    refused: str | None = None
    """The code of the problem for which it was asked again."""
    strategy: Strategy = "direct"
    question_id: str | None = None
    category: str | None = None
    pictures: tuple[SentPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A row without a good answer. ``stage`` says where it failed: before a request, at the endpoint, by its answer."""

    task_id: TaskId
    code: str
    message: str
    stage: Literal["input", "endpoint", "answer"] = "input"
    attempts: int = 0
    raw: str | None = None
    usage: Usage = Usage()
    asks: int = 0
    refused: str | None = None
    """The code of the problem for which it was asked again."""
    whole_row: bool = False
    """Whether it stands for all questions of its row, since none could be put."""


Outcome = Record | Failure

Json = dict[str, Any]
"""A decoded JSON object from outside, not yet judged."""
