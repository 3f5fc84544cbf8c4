"""What a failed attempt was answered, and the questions that its classification asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from persqa_client.client.authentication import NO_KEY, Authentication
from persqa_client.client.dialect import OPTIONAL_FIELDS
from persqa_client.client.error_body import ErrorBody
from persqa_client.client.error_signs import OVERLOAD, REFUSED_ROW, SERVER_FAILURE, TOO_MANY_IMAGES, Sign
from persqa_client.client.redaction import Redactor
from persqa_client.client.retry import parse_retry_after
from persqa_client.limits.rate_limit import seconds_until_available
from persqa_client.types import ErrorDecision, RetryAction


@dataclass(frozen=True, slots=True)
class AttemptContext:
    base_url: str
    model: str
    authentication: Authentication = NO_KEY
    redactor: Redactor = field(default_factory=Redactor, repr=False)
    has_answered: bool = False  # if true, the settings are right, and a refused connection is an outage
    timeout: float = 120.0
    optional_fields: frozenset[str] = field(default=OPTIONAL_FIELDS)


@dataclass(frozen=True, slots=True)
class FailedReply:
    status: int
    headers: Mapping[str, str]
    error: ErrorBody
    context: AttemptContext
    now: float  # Unix time
    in_200: bool = False  # an error in the body of a whole 200; errors in streams have a status of their own

    @property
    def quote(self) -> str:
        return quote_server_message(self.error.said)

    @property
    def where(self) -> str:
        return "200 with an error in the body" if self.in_200 or self.status == 200 else str(self.status)

    @property
    def code(self) -> str:
        return "error_in_200" if self.in_200 or self.status == 200 else f"http_{self.status}"

    def shows(self, sign: Sign) -> bool:
        codes = self.error.codes
        if sign.in_codes(codes):
            return True
        # Google reports a limit per minute like a used-up quota in its message, but its code is exact.
        return not OVERLOAD.in_codes(codes) and not self.error.is_page and sign.in_words(self.error.own_words)

    def retry_after(self) -> float | None:
        if (wait := parse_retry_after(self.headers, self.now)) is not None:
            return wait
        if self.status == 429 and (wait := seconds_until_available(self.headers, self.now)):
            return wait
        return self.error.find_retry_after(self.now)

    @property
    def refuses_content(self) -> bool:
        has_field = any("flagged_input" in one for one in self.error.objects)
        return has_field or REFUSED_ROW.in_codes(self.error.codes) or REFUSED_ROW.in_words(self.error.words)

    @property
    def allows_no_images(self) -> bool:
        named = TOO_MANY_IMAGES.search(self.error.words)
        return named is not None and named["limit"] == "0"

    @property
    def says_when(self) -> bool:
        """Whether the server asks to retry later, so that the refusal is not permanent."""
        wait = parse_retry_after(self.headers, self.now)
        return wait is not None or self.error.find_retry_after(self.now) is not None or self.shows_overload_words

    @property
    def states_a_time(self) -> bool:
        wait = parse_retry_after(self.headers, self.now)
        if wait is None and not self.error.is_page:
            wait = self.error.find_retry_after(self.now)
        return bool(wait)

    @property
    def has_failed(self) -> bool:
        """Whether the server reports a failure of its own. It may also ask to retry later."""
        return SERVER_FAILURE.in_codes(self.error.codes) or SERVER_FAILURE.in_words(self.error.words)

    @property
    def names_the_model(self) -> bool:
        named = rf"(?<!\w){re.escape(self.context.model)}(?!\w)"
        return not self.error.is_page and re.search(named, self.error.words, re.IGNORECASE) is not None

    @property
    def shows_overload_words(self) -> bool:
        return not self.error.is_page and OVERLOAD.in_words(self.error.words)

    def decide(
        self,
        action: RetryAction,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        parameter: str | None = None,
        grace: float = 0.0,
    ) -> ErrorDecision:
        return ErrorDecision(
            action,
            code,
            f"{message}.",
            retry_after=retry_after,
            parameter=parameter,
            status=self.status,
            raw=self.error.said,
            grace=grace,
        )


def quote_server_message(said: str) -> str:
    """``: message`` for the end of a sentence; empty without a message."""
    return f": {said.rstrip('.')}" if said else ""
