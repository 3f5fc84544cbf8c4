"""Values passed through a run, from an input line to the reply. What becomes of a task is in ``outcomes``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple


class TaskId(NamedTuple):
    # Number of the input line, or of the picture in a folder, from 1. Blank lines count.
    row: int
    # Index among the row's questions, from 0.
    question: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    # Bytes read.
    offset: int
    # Lines read, including blank ones; in a folder, pictures.
    number: int
    # Digest of everything read so far; empty before the first line.
    digest: str


START_POSITION = Position(0, 0, "")


# How rows write the box around the main character, and how the image that is sent shows it.
BoxFormat = Literal["xyxy", "xywh", "normalized"]
BoxMode = Literal["drawn", "cropped"]


class BoxMark(NamedTuple):
    """A box in an image, and what is done with it. ``is_relative``: from 0 to 1, otherwise in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    is_relative: bool
    mode: BoxMode


class Row(NamedTuple):
    """``line`` has no line break and no ``error`` member of a failure file."""

    number: int
    line: bytes
    images: tuple[str, ...]
    question: str | None = None
    tag: str | None = None
    id: str | int | None = None
    category: str | None = None
    language: str | None = None
    # In a failure file: index of the failed question.
    only_question: int | None = None
    # What the row's images count as in the choice of question and seed; empty: as written.
    names: tuple[str, ...] = ()
    # The line before its paths were replaced (--paths); None for the same line.
    given: bytes | None = None
    # An image that shows the main character; it is sent first.
    reference: str | None = None
    # The box of each of ``images``; empty for none.
    marks: tuple[BoxMark | None, ...] = ()
    # What ``number`` counts in the input, for messages: lines, or rows of another kind of file.
    counted_as: str = "line"

    @property
    def views(self) -> tuple[tuple[str, BoxMark | None], ...]:
        """All images that are sent, with their marks."""
        marks = self.marks or (None,) * len(self.images)
        first = () if self.reference is None else ((self.reference, None),)
        return (*first, *zip(self.images, marks, strict=True))

    @property
    def pictures(self) -> tuple[str, ...]:
        """All images that are sent, in their order."""
        return self.images if self.reference is None else (self.reference, *self.images)


@dataclass(frozen=True, slots=True)
class BadRow:
    number: int
    line: bytes
    code: str
    message: str
    given: bytes | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EncodedImage:
    data: bytes
    media_type: str
    width: int
    height: int
    # Digest of the image, as a server's cache key; None if the image is sent only once.
    uuid: str | None = None
    # Digest of the content of its file, without metadata.
    source_digest: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"<EncodedImage {self.media_type} {self.width}x{self.height}, {len(self.data) / 1000:.0f} KB>"


class FileStamp(NamedTuple):
    """The values that a later run compares to find out whether an image file has changed."""

    file_bytes: int
    modified_ns: int
    # Read if the others differ (images/changed_files.py).
    digest: str


class LoadedImage(NamedTuple):
    image: EncodedImage
    # None for a data: URI.
    file: FileStamp | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Completion:
    """``text`` may be empty; ``refusal`` is the API's field."""

    text: str
    # In OpenAI's words (stop, length, content_filter), if it is known; else as sent.
    finish_reason: str | None
    usage: Usage = NO_USAGE
    model: str | None = None
    refusal: str | None = None
    # As sent, if it was put into OpenAI's words.
    sent_finish_reason: str | None = None
    # The tokens of the completion that are not in the text.
    reasoning_tokens: int = 0


# Codes of rejected answers: of how the completion ended, of the checks, and of the model's verdict.
ProblemCode = Literal[
    "about_the_task",
    "content_filter",
    "echo",
    "empty",
    "loop",
    "name_leak",
    "no_image",
    "no_tag",
    "not_a_sentence",
    "not_verified",
    "only_tag",
    "placeholder",
    "pronoun_only",
    "refusal",
    "server_residue",
    "truncated",
    "unfinished",
    "unknown_markup",
    "unknown_tag",
    "wrong_language",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an answer is rejected."""

    code: ProblemCode
    message: str  # For users, as a noun phrase: "empty answer".
    variant: str = ""  # Distinguishes problems of one code that have different texts for the model.
    found: str = ""  # The wrong part of the answer, if the model's text quotes it.


# Checks a cleaned answer; returns the problem, or None.
Check = Callable[[str, "Task"], Problem | None]


# The languages of the built-in questions and prompts.
QuestionLanguage = Literal["en", "zh"]

# "qa" writes question and answer as one text, "answer" only the answer.
# auto: rows in the layout of another program are read as what they are. fields: by the fields of a run's rows only.
RowLayoutChoice = Literal["auto", "fields"]
OutputStyle = Literal["qa", "answer"]

# How long answers are: one word or a short phrase, one short sentence, one or two sentences, or three to five.
AnswerStyle = Literal["word", "short", "sentences", "long"]

# The texts of a request that a row may replace.
SteeringText = Literal["system", "prompt"]

# How answers are made to begin with the tag. direct: by the prompt. constrain: the server enforces a pattern. prefill:
# the beginning of the answer is sent. surrogate: the model is asked about an ordinary name, which is then replaced by
# the tag.
Strategy = Literal["direct", "constrain", "prefill", "surrogate"]


@dataclass(frozen=True, slots=True)
class Task:
    task_id: TaskId
    kind: str
    # The tag with brackets: <mam>.
    tag: str
    # As written to the output, with the tag.
    question: str
    system: str
    prompt: str
    checks: tuple[Check, ...]
    seed: int
    # Pattern that every good answer matches, for servers with constrained output.
    pattern: str | None = None
    # Beginning of the answer, for servers with prefill.
    prefill: str | None = None
    # Ordinary name in the prompt instead of the tag.
    surrogate: str | None = None
    strategy: Strategy = "direct"
    # Real names that answers must not contain.
    names: tuple[str, ...] = ()
    # Whether the name without brackets is unambiguous and can be replaced by the tag.
    repair_bare_name: bool = True
    # Id in the question bank; None for a row's own question.
    question_id: str | None = None
    # Category of the main character: human, animal, object, scene or group.
    category: str | None = None
    # Whether the answer is to be a word or a phrase.
    wants_phrase: bool = False
    # Sentences of the prompt that say who the main character is, and those of them that the user wrote.
    introduction: str = ""
    description: str = ""
    # Whether a box around the main character was drawn into a picture.
    has_drawn_box: bool = False
    # The file that the row was made of; empty for a row that was written as a line.
    file: str = ""
    # See ``Row.counted_as``.
    counted_as: str = "line"


@dataclass(frozen=True, slots=True)
class Turn:
    """A rejected answer, or the request for a better one.

    The next ``pictures`` images of the request go before its text.
    """

    role: str
    text: str
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """Images come first, then the prompt, then the turns."""

    # Omitted if empty.
    system: str
    pictures: tuple[EncodedImage, ...]
    prompt: str
    seed: int
    pattern: str | None = None
    # Beginning of the answer, for the server to continue.
    prefill: str | None = None
    turns: tuple[Turn, ...] = ()
    # Overrides the run's max_tokens.
    max_tokens: int | None = None
    # Images that the server has cached; only their uuids are sent.
    known_uuids: frozenset[str] = frozenset()
    # Whether the answer is streamed; the first chunk shows that the server has received the images.
    stream: bool = False
    # Whether it is about an answer that the row already has. Its reply may be cut off, and it may have no images, so
    # its failure does not show whether the endpoint answers rows.
    is_verification: bool = False

    @property
    def uuids(self) -> tuple[str, ...]:
        return tuple(picture.uuid for picture in self.pictures if picture.uuid is not None)


class RetryAction(Enum):
    # Overload: retry later with lower concurrency. Does not count as an attempt.
    WAIT = "wait"
    # Transient error: retry, up to max_attempts.
    RETRY = "retry"
    # The row fails permanently.
    FAIL = "fail"
    # Every row would fail in the same way.
    STOP = "stop"
    # The server is unavailable: send nothing until it recovers.
    AWAIT_RECOVERY = "await_recovery"
    # The server does not have an image that was sent as uuid: send it again. Does not count as an attempt.
    RESEND = "resend"
    # The server rejects a parameter: rename or drop it for the rest of the run.
    ADAPT = "adapt"


@dataclass(frozen=True, slots=True)
class ErrorDecision:
    """``message`` is for users; ``raw`` is the server's text, shortened."""

    action: RetryAction
    code: str
    message: str
    # Seconds, from Retry-After or a rate limit header.
    retry_after: float | None = None
    parameter: str | None = None
    status: int | None = None
    raw: str | None = None
    # Seconds that a STOP must last: some servers word a limit per minute like a used-up quota.
    grace: float = 0.0
    # Tokens of a completion that cannot be used.
    usage: Usage | None = None


# A decoded JSON object from outside, not validated.
Json = dict[str, Any]
