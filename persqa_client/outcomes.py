"""Outcomes of a task: a record or a failure, with the requests and answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from persqa_client.types import NO_USAGE, FileStamp, Strategy, TaskId, Usage

# What the model says of its own answer: that it is right, that it is not, neither, or nothing because its request
# failed.
AnswerVerdict = Literal["yes", "no", "unreadable", "failed"]


@dataclass(frozen=True, slots=True)
class Verification:
    """The latest verdict on a row's answers; requests and tokens of all of them."""

    verdict: AnswerVerdict
    # The same question without the pictures; None if it was not asked.
    blind: AnswerVerdict | None = None
    # Both are also counted in the row's attempts and usage.
    requests: int = 0
    usage: Usage = NO_USAGE


class SentPicture(NamedTuple):
    media_type: str
    width: int
    height: int
    bytes: int
    # Prompt tokens by the model's rule; None if the rule is unknown.
    tokens: int | None
    # The fields of FileStamp; None for a data: URI, and in files of earlier versions.
    file_bytes: int | None = None
    modified_ns: int | None = None
    digest: str | None = None

    @property
    def file(self) -> FileStamp | None:
        if self.file_bytes is None or self.modified_ns is None or self.digest is None:
            return None
        return FileStamp(self.file_bytes, self.modified_ns, self.digest)

    def without_file(self) -> tuple[str, int, int, int, int | None]:
        return self[:5]


class RawAnswer(NamedTuple):
    """An answer as it was received, and how it was judged. Kept whether it was accepted or not."""

    text: str
    # Code of the problem; None if the answer was accepted.
    problem: str | None = None
    # "constraint" or "prefill", and the cleaning and repair steps.
    steps: tuple[str, ...] = ()
    # The next three are as in Completion.
    finish_reason: str | None = None
    sent_finish_reason: str | None = None
    refusal: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    # The limit of tokens of the request.
    max_tokens: int | None = None
    seed: int | None = None
    model: str | None = None


class AskedTask(NamedTuple):
    """The question of a failed task; the fields are those of Task."""

    kind: str
    tag: str
    question: str
    seed: int
    strategy: Strategy = "direct"
    question_id: str | None = None
    category: str | None = None
    surrogate: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An accepted answer. Fields are named like the keys of ``_meta`` in the output, and stored in the journal."""

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
    usage: Usage = NO_USAGE
    # Requests counted towards max_attempts, including the re-ask.
    attempts: int = 1
    # 2 after a re-ask, 3 after another one at another endpoint, else 1.
    asks: int = 1
    # Steps that corrected the answer: "constraint", "prefill", cleaning and repair steps, "re-ask".
    made_good_by: tuple[str, ...] = ()
    # Problem code of the first answer, if it was rejected.
    refused: str | None = None
    strategy: Strategy = "direct"
    question_id: str | None = None
    category: str | None = None
    pictures: tuple[SentPicture, ...] = ()
    # Codes of what makes the answer doubtful (answers/doubts.py, run/verification.py).
    doubts: tuple[str, ...] = ()
    # None if the model was not asked to verify the answer.
    verification: Verification | None = None
    # Ordinary name in the prompt instead of the tag.
    surrogate: str | None = None
    # All answers, the accepted one last.
    raws: tuple[RawAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """``stage`` is where the task failed: before the first request, at the endpoint, or in the checks."""

    task_id: TaskId
    code: str
    message: str
    stage: Literal["input", "endpoint", "answer"] = "input"
    attempts: int = 0
    raw: str | None = None
    usage: Usage = NO_USAGE
    asks: int = 0
    # Problem code of the first answer, if it was rejected.
    refused: str | None = None
    # Whether it stands for all questions of the row, because none could be asked.
    whole_row: bool = False
    verification: Verification | None = None
    # None if the row is invalid.
    task: AskedTask | None = None
    pictures: tuple[SentPicture, ...] = ()
    # All answers that were received, also before a failure of the endpoint.
    raws: tuple[RawAnswer, ...] = ()


Outcome = Record | Failure
