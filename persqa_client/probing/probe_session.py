"""Requests of a probe, with their own dialect and sampling."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from persqa_client.config import Sampling
from persqa_client.endpoints.session import Reply, RequestProfile, Session
from persqa_client.errors import RowError
from persqa_client.types import Request


@dataclass(frozen=True, slots=True)
class ProbeSession:
    """A session with its own dialect and sampling; connections, limits and counts are shared."""

    session: Session
    profile: RequestProfile

    @classmethod
    def of(cls, session: Session) -> ProbeSession:
        return cls(session, session.profile).vary()

    def vary(
        self, *, constraint: str | None = None, prefill: str | None = None, sampling: Sampling | None = None
    ) -> ProbeSession:
        dialect = replace(self.profile.dialect, constraint=constraint, prefill=prefill)
        sampling = sampling or self.profile.sampling
        return ProbeSession(self.session, replace(self.profile, dialect=dialect, sampling=sampling))

    def greedy(self, *, prefill: str | None = None) -> ProbeSession:
        """At temperature 0, where answers to equal prompts are equal and can be compared."""
        return self.vary(prefill=prefill, sampling=self.profile.sampling.model_copy(update={"temperature": 0.0}))

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
