"""Profile of the requests to an endpoint, one request with its images as it is sent, and replies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from persqa_client.client.dialect import Dialect, wraps_answer
from persqa_client.client.image_dialect import RequestImages
from persqa_client.client.image_uploads import ImageUpload, ImageUploads
from persqa_client.client.response import restore_answer
from persqa_client.config import Sampling
from persqa_client.endpoints.request_state import RequestState
from persqa_client.endpoints.traffic_counts import TrafficCounts
from persqa_client.types import Completion, EncodedImage, ErrorDecision, Request, RetryAction

# Factor for max_tokens, applied once, if a model's reasoning leaves no room for the answer.
ROOM_FACTOR = 4


class AnswerSource(Protocol):
    """The endpoint that answered, one of several."""

    @property
    def is_ready(self) -> bool: ...  # whether another one is healthy

    def judge(self, problem: str | None) -> None: ...  # code of the check that the answer failed

    async def ask_again(self, request: Request) -> Reply: ...  # at this endpoint, unless it is unavailable

    async def ask_another(self, request: Request) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Reply:
    completion: Completion
    attempts: int  # attempts that count towards the limit; 1 for an answer at the first attempt
    constrained: bool  # whether the server enforced the request's pattern
    prefilled: bool = False  # whether the server continued the given beginning
    used_uuids: bool = False  # whether images were sent as uuids only
    pictures: tuple[EncodedImage, ...] = ()  # as sent
    unusable: ErrorDecision | None = None  # why the answer is incomplete, if the endpoint may be the cause
    source: AnswerSource | None = None  # None for a single endpoint
    traffic: TrafficCounts | None = field(default=None, compare=False)  # counts of the endpoint


@dataclass(slots=True)
class RequestProfile:
    """Dialect and sampling of requests. ``dialect`` changes when the endpoint refuses a field.

    Probes pass their own profile to ``Session.complete``.
    """

    sampling: Sampling
    uploads: ImageUploads
    dialect: Dialect = field(default_factory=Dialect)
    initial_max_tokens: int | None = None  # if ``sampling.max_tokens`` was raised

    def adapt(self, decision: ErrorDecision, sent: Dialect) -> ErrorDecision:
        """Leaves out a refused field, or renames it. ``sent``: the dialect of the request.

        Returns the decision. If that field was not sent, it is that of any other refusal: the row, the endpoint or a
        gateway may be the cause.
        """
        # Another request may already have changed the dialect.
        if decision.action is not RetryAction.ADAPT or sent is not self.dialect:
            return decision
        adapted = sent.adapt_to_refusal(decision.parameter or "")
        if adapted is None:
            return replace(decision, action=RetryAction.FAIL, code="rejected", parameter=None)
        self.dialect = adapted
        return decision

    def describe_changes(self) -> list[str]:
        changes = self.dialect.describe_changes()
        if self.initial_max_tokens is not None:
            reason = f"{self.initial_max_tokens} tokens were used up before the answer began, by the model's reasoning"
            changes.append(f"max_tokens is raised to {self.sampling.max_tokens}: {reason}")
        return changes

    def give_room(self, request: Request) -> Request:
        """Returns the request, with the raised ``max_tokens`` if its own is smaller."""
        if request.max_tokens is None or self.initial_max_tokens is None:
            return request
        return replace(request, max_tokens=max(request.max_tokens, self.sampling.max_tokens))

    def raise_max_tokens(self) -> bool:
        """Returns False if that was done before."""
        if self.initial_max_tokens is not None:
            return False
        self.initial_max_tokens = self.sampling.max_tokens
        max_tokens = ROOM_FACTOR * self.sampling.max_tokens
        self.sampling = self.sampling.model_copy(update={"max_tokens": max_tokens})
        return True


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request with its images in the form that the endpoint accepts."""

    request: Request
    state: RequestState
    profile: RequestProfile
    images: RequestImages
    upload: ImageUpload
    tokens: int
    is_row: bool  # False for a probe


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion, and how its request was sent."""

    completion: Completion
    number: int  # number of the request, from ``Breaker.start_request``
    dialect: Dialect
    sampling: Sampling
    used_uuids: bool


def word_request(prepared: PreparedRequest, dialect: Dialect, known_uuids: frozenset[str]) -> Request:
    """The request of the next attempt. ``known_uuids``: of pictures that the server has cached."""
    request, state = prepared.request, prepared.state
    stream = bool(prepared.upload.carried) and dialect.can_stream_uploads
    if known_uuids or stream:
        request = replace(request, known_uuids=known_uuids, stream=stream)
    if state.latest_failure is not None and state.latest_failure.code == "only_reasoning":
        request = replace(request, seed=(request.seed + state.attempts_used) % 2**31)
    return prepared.profile.give_room(request)


def has_no_room(completion: Completion) -> bool:
    """Whether the token limit was reached before the answer began."""
    return completion.finish_reason == "length" and not completion.text.strip()


def make_reply(
    answer: Answer, request: Request, *, attempts: int, unusable: ErrorDecision | None, traffic: TrafficCounts
) -> Reply:
    completion, dialect = answer.completion, answer.dialect
    prefix = request.prefill if dialect.active_prefill else None
    form = dialect.active_constraint if request.pattern and not prefix else None
    if prefix or wraps_answer(form):
        completion = restore_answer(completion, wrapped=wraps_answer(form), prefix=prefix)
    return Reply(
        completion,
        attempts,
        constrained=form is not None,
        prefilled=bool(prefix),
        used_uuids=answer.used_uuids,
        pictures=request.pictures,
        unusable=unusable,
        traffic=traffic,
    )
