"""What an account may take: throttled before sending, corrected by what was taken, held when nothing is left. Waits."""

from __future__ import annotations

import time
from collections.abc import Mapping

from persqa_client.config import Limits
from persqa_client.images.tokens import PictureTokens, by_size
from persqa_client.limits.concurrency import Admission
from persqa_client.limits.quotas import seconds_to_hold, weight_of
from persqa_client.limits.rate_limit import throttle_for
from persqa_client.types import Request, Usage

UNHEARD = 20
"""Answers without a word on the account's limits, after which none is looked for."""


class Allowance:
    """The limits on requests and tokens that a person names, and those that answers tell of."""

    def __init__(self, limits: Limits, admission: Admission, picture_tokens: PictureTokens = by_size) -> None:
        self._limits = limits
        self._admission = admission
        self.picture_tokens = picture_tokens
        self._throttle = throttle_for(limits.rps, limits.rpm, limits.tpm)
        self._answers = 0
        self._tokens = 0
        self.listens = True
        """Whether answers may still be expected to tell of limits."""

    def weigh(self, request: Request, max_tokens: int) -> int:
        """Tokens that the request may take; 0 where nobody counts them."""
        return 0 if self._limits.tpm is None else weight_of(request, max_tokens, self.picture_tokens)

    async def permit(self, tokens: int, *, again: bool) -> None:
        """Returns when it may be sent. Raises Interrupted once closed."""
        await self._throttle.acquire(again=again, tokens=tokens)

    def give_back(self, tokens: int) -> None:
        """It was not sent after all."""
        self._throttle.correct(-tokens)

    def took(self, usage: Usage, tokens: int) -> None:
        """What an answer took, of which ``tokens`` had been counted before."""
        taken = usage.prompt + usage.completion
        self._answers += 1
        self._tokens += taken
        if tokens and usage.prompt:
            self._throttle.correct(taken - tokens)

    def heed(self, headers: Mapping[str, str]) -> None:
        """Holds all sending where the limits in an answer's headers leave no room for one request more."""
        if not self.listens:
            return
        if "x-ratelimit-remaining-requests" not in headers and "x-ratelimit-remaining-tokens" not in headers:
            self.listens = self._answers < UNHEARD
            return
        mean = self._tokens // max(1, self._answers)
        if seconds := seconds_to_hold(headers, time.time(), max(1, mean)):
            self._admission.hold(min(seconds, self._limits.max_outage))

    def close(self) -> None:
        """Permits nothing more."""
        self._throttle.close()
