"""Requests of a probe, with their own dialect and sampling."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from persqa_client.client.image_dialect import PNG
from persqa_client.config import Sampling
from persqa_client.endpoints.profile import Reply, RequestProfile
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.types import Request

ImageFormat = Literal["PNG", "JPEG"]

# The server rejects this request. Other codes are failures of the server, of the network or under load.
REJECTION_CODES = frozenset({"rejected", "too_many_images", "too_large", "context_overflow"})
# Tokens for models that always reason, if fewer tokens left no room for an answer.
ROOM = 1024
# Refused for a long time because of load.
BUSY = "busy"


@dataclass(frozen=True, slots=True)
class ProbeSession:
    """A session with its own dialect and sampling; connections, limits and counts are shared.

    ``min_tokens``: minimum length of compared answers, for models that end their answer at once.
    """

    session: Session
    profile: RequestProfile
    min_tokens: int = 0

    @classmethod
    def of(cls, session: Session) -> ProbeSession:
        return cls(session, session.profile).vary()

    @property
    def image_format(self) -> ImageFormat:
        """The format of test images: what the server accepts."""
        return "JPEG" if PNG in self.session.image_dialect.form.refused_types else "PNG"

    def vary(
        self, *, constraint: str | None = None, prefill: str | None = None, sampling: Sampling | None = None
    ) -> ProbeSession:
        dialect = replace(self.profile.dialect, constraint=constraint, prefill=prefill)
        sampling = sampling or self.profile.sampling
        return replace(self, profile=replace(self.profile, dialect=dialect, sampling=sampling))

    def greedy(self, *, prefill: str | None = None) -> ProbeSession:
        """A session at temperature 0, where answers to equal prompts are equal and can be compared."""
        sampling = self.profile.sampling
        lengthened = {"min_tokens": self.min_tokens} if self.min_tokens else {}
        changes = {"temperature": 0.0, "extra_body": sampling.extra_body | lengthened}
        return self.vary(prefill=prefill, sampling=sampling.model_copy(update=changes))

    def adopt_refusals(self, variation: ProbeSession, ignoring: Collection[str] = ()) -> None:
        """Adopts the refused fields of a variation, except the tested fields ``ignoring``."""
        self.profile.dialect = self.profile.dialect.with_refusals(variation.profile.dialect, ignoring=ignoring)

    async def complete(self, request: Request) -> Reply:
        return await self.session.complete(request, profile=self.profile)

    async def try_complete(self, request: Request) -> Reply | None:
        try:
            return await self.complete(request)
        except RowError:
            return None

    async def complete_with_room(self, request: Request, is_answer: Callable[[str], object] = str.strip) -> Reply:
        """Asks again with more tokens if they were used up before an answer."""
        reply = await self.complete(request)
        if reply.completion.finish_reason != "length" or is_answer(reply.completion.text):
            return reply
        return await self.try_complete(replace(request, max_tokens=ROOM)) or reply

    async def complete_unless_refused(self, request: Request, control: ProbeSession) -> Reply | None:
        """None if the server refuses the request, but answers the same of ``control``.

        Raises RowError if the reason is unknown: the server answers neither request, or is busy.
        """
        try:
            return await self.complete_with_room(request)
        except RowError as error:
            if error.code in REJECTION_CODES:
                return None
        # Some servers answer 500 to a field that they do not support.
        await control.complete(request)
        try:
            return await self.complete_with_room(request)
        except RowError as error:
            if error.code == BUSY:
                raise
            return None
