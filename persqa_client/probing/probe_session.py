"""Requests of a probe, with their own dialect and sampling."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from persqa_client.config import Sampling
from persqa_client.endpoints.profile import Reply, RequestProfile
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.types import Request


@dataclass(frozen=True, slots=True)
class ProbeSession:
    """A session with its own dialect and sampling; connections, limits and counts are shared.

    ``min_tokens``: of answers that are compared, for a model that ends its answer at once.
    """

    session: Session
    profile: RequestProfile
    min_tokens: int = 0

    @classmethod
    def of(cls, session: Session) -> ProbeSession:
        return cls(session, session.profile).vary()

    def vary(
        self, *, constraint: str | None = None, prefill: str | None = None, sampling: Sampling | None = None
    ) -> ProbeSession:
        dialect = replace(self.profile.dialect, constraint=constraint, prefill=prefill)
        sampling = sampling or self.profile.sampling
        return replace(self, profile=replace(self.profile, dialect=dialect, sampling=sampling))

    def greedy(self, *, prefill: str | None = None) -> ProbeSession:
        """At temperature 0, where answers to equal prompts are equal and can be compared."""
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
