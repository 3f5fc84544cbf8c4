"""The reply to a failed attempt: properties that its classification uses, and patterns for error codes and messages.

Codes are normalised (``error_body.normalise_code``), so one pattern covers the spellings of all servers. The message is
used only if no code matches, so the patterns for it are narrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from persqa_client.client.authentication import NO_KEY, Authentication
from persqa_client.client.dialect import OPTIONAL_FIELDS
from persqa_client.client.error_body import ErrorBody
from persqa_client.client.redaction import Redactor
from persqa_client.client.retry import parse_retry_after
from persqa_client.limits.rate_limit import seconds_until_available
from persqa_client.types import ErrorDecision, RetryAction


@dataclass(frozen=True, slots=True)
class Sign:
    codes: re.Pattern[str] | None = None
    words: re.Pattern[str] | None = None

    def in_codes(self, codes: Iterable[str]) -> bool:
        return self.codes is not None and any(self.codes.search(code) for code in codes)

    def in_words(self, words: str) -> bool:
        return self.words is not None and self.words.search(words) is not None

    def names_a_quota(self, error: ErrorBody) -> bool:
        return any("quota" in code for code in error.codes) or re.search(r"(?i)quota|额度", error.words) is not None


def _sign(codes: str = "", words: str = "") -> Sign:
    return Sign(re.compile(codes) if codes else None, re.compile(words, re.IGNORECASE) if words else None)


OWNER = r"(?:account|organi[sz]ation|project|team|workspace|subscription|billing|credits?)"

# The API key, or a token in its place, is refused.
BAD_KEY = _sign(
    r"(?:invalid|incorrect|expired|missing|unknown|disabled)_(?:api|access|subscription)_?key"
    r"|(?:api|access|subscription)_?key_(?:invalid|expired|missing|not_found|disabled|service_blocked)"
    r"|^(?:invalid_)?authentication(?:_error)?$",
    r"\bAPI[ -]key (?:is )?(?:not valid|invalid|expired|not found|missing)|\b(?:invalid|incorrect|expired) API[ -]key"
    r"|\bsecurity token\b.{0,40}\bis (?:expired|invalid)\b",
)
# The key has no permission.
NO_PERMISSION = _sign(r"^iam_permission_denied$")

# Requests from this place are refused. A gateway may send single ones through another place.
NO_PLACE = _sign(
    r"^unsupported_country",
    r"\buser location is not supported\b|\bcountry, region,? or territory (?:is )?not supported\b",
)

# The account is refused: its credit, its quota or its status. Codes name both a property of the account and its state,
# because ``credit_card_image`` and ``restricted_content`` are about the row.
FUNDS = r"(?:quota|credits?|balance|funds|budget|billing|bill|spend(?:ing)?|payment)"
SPENT = (
    r"(?:exceed(?:ed|s)?|exhausted|insufficient|not_enough|reached|required|overdue|failed|depleted|not_active|inactive"
    r"|suspended)"
)
STOPPED = r"(?:suspended|deactivated|disabled|restricted|overdue|terminated|inactive|not_active|in_arrears)"
ACCOUNT = _sign(
    rf"(?:^|_)(?:insufficient|exceed(?:ed|s)?|not_enough|out_of|no|overdue|low)(?:_[a-z]+){{0,2}}_{FUNDS}(?:_|$)"
    rf"|(?:^|_){FUNDS}(?:_[a-z]+){{0,2}}_{SPENT}(?:_|$)"
    rf"|(?:^|_)(?:account|organi[sz]ation|project|user|team|workspace|consumer|subscription)_(?:is_)?{STOPPED}(?:_|$)"
    r"|(?:^|_)arrear(?:s|age)(?:_|$)|(?:^|_)free_tier_only(?:_|$)|^service_disabled$|^set_limit_exceeded$",
    rf"\bcredit balance\b|\b(?:insufficient|not enough) (?:account )?(?:balance|credits?|funds|quota)\b"
    rf"|\b(?:balance|credits?|funds|quota) (?:is|are) (?:insufficient|not enough|too low|exhausted|used up)\b"
    rf"|(?:n't|\bnot) have (?:any|enough|sufficient) (?:balance|credits?|funds|quota)\b"
    rf"|\b(?:exceeded|used all|out of|reached|reaching) (?:\w+ ){{0,3}}"
    rf"(?:quota|credits?|(?:spend(?:ing)?|usage) limits?)\b"
    rf"|\b(?:key|spend(?:ing)?) limit (?:has been )?(?:exceeded|reached)|\bquota (?:is not enough|exceeded|exhausted)"
    rf"|\bused (?:all|up) (?:\w+ ){{0,4}}(?:allocation|allowance)\b"
    rf"|\bbudget has been exceeded\b|\b(?:exceeded|crossed|over) budget\b"
    rf"|\bin good standing\b|\bfree tier\b.{{0,40}}\bexhausted"
    rf"|\b{OWNER}\b.{{0,80}}\b(?:suspended|deactivated|terminated|restricted|overdue|in arrears)\b"
    rf"|\b(?:overdue|suspended|deactivated) {OWNER}\b|余额不足|额度不足|欠费",
)

# The model is not served, or takes no images.
NAME = r"[`'\"“]?[\w./:@+-]*[`'\"”]?"
MODEL = _sign(
    r"model_not_(?:found|available|exist\w*|supported)|(?:invalid|unknown|unsupported)_model$|deployment_not_found"
    r"|model_(?:decommissioned|deprecated|retired)|endpoint_not_running",
    rf"\bmodel:? {NAME} ?(?:was |is |does |do )?(?:not exist|not found|not available|not served|not a valid)"
    rf"|\bmodel:? {NAME} (?:was|is|has been) (?:decommissioned|retired|shut down)\b"
    rf"|\b(?:invalid|unknown|no such) model\b|\bnot a valid model\b|\bno available channel for model\b"
    rf"|\bno endpoints found for\b|模型(?:不存在|.{{0,60}}无可用渠道)",
)
NO_IMAGES = _sign(
    words=r"\b(?:not|n't|no \w+ (?:found )?that) support (?:images|vision|(?:image|vision|multi-?modal) inputs?)\b"
    r"|\bimage inputs? (?:is|are) not supported|\bnot a (?:multi-?modal|vision) model\b"
    r"|\bimage_url is only supported by|\b(?:unknown variant|unsupported content part type:?) .image_url"
    r"|\bvision add-?on is not loaded\b|\bnot compiled for multi-?modal\b|\bnot configured with an? mmproj\b"
)

# Codes of refused content. Words about it need no pattern after the first answer: other refusals are the row's, too.
REFUSED_ROW = _sign(
    r"content_(?:filter|policy)|inspection|moderation|safety|responsible_ai|sensitive|invalid_image|image_parse"
    r"|unsupported_image|invalid_base64",
    r"\binput was flagged\b",
)
CONTEXT_OVERFLOW = _sign(
    r"context_length|context_size|context_exceeded|string_above_max_length",
    r"maximum context length|prompt is too long"
    r"|\b(?:longer than|exceed(?:s|ed|ing)?) (?:the |your )?(?:available |maximum )?(?:model(?:'s)? |context )?"
    r"(?:context|model|(?<=model )token) (?:size|length|window|limit)\b",
)
# The number of images is refused, not one of them: it must be named, since servers put ``param: "image"`` on any error.
TOO_MANY_IMAGES = re.compile(
    r"\btoo many images\b|\b(?:at most|up to|only|more than|(?:maximum|limit) (?:of|is)) (?P<limit>\d+) images?\b",
    re.IGNORECASE,
)

# The server asks to come back. Codes are whole terms: ``image_unavailable`` is about the row. A message to try again
# "with a smaller image" does not count, so a time must be named.
OVERLOAD = _sign(
    r"(?:^|_)(?:rate_?limit(?:s|ed|ing)?|throttl(?:ed|ing)|overload(?:ed)?|too_many_requests|resource_exhausted"
    r"|(?:server|service|system|engine|model)_(?:is_)?(?:busy|unavailable)|temporarily_unavailable|slow_down"
    r"|capacity_(?:exceeded|exhausted|error|limit)|(?:no|at|over|insufficient)_capacity)(?:_|$)"
    r"|^(?:unavailable|capacity|busy)(?:_error)?$",
    r"\b(?:try again|retry(?: your request)?(?: again)?),? (?:later|shortly|soon|in|after|once|when)\b|\btry later\b"
    r"|\bwait (?:a|for|until|before)\b|\btemporarily\b|\b(?:is|are|currently|too|server|model) busy\b|\boverload"
    r"|\bat capacity\b|\bcapacity exceeded\b|\btoo many (?:concurrent )?requests\b|\brate[- ]limit"
    r"|\bcurrently loading\b|请稍后|稍后(?:再|重)试|负载已饱和",
)

# A part of the server did not answer. DashScope's code is that of a refused image.
TIMED_OUT = r"\btimed out\b"
# The server failed, or the request was damaged on its way: bodies are valid JSON when they are sent.
SERVER_FAILURE = _sign(
    r"(?:^|_)(?:server_error|internal_error|internal_server_error|backend_?error|cancelled|incomplete_generation)$",
    r"\b(?:encountered|had|experienced) an? (?:internal |unexpected )?error\b|\b(?:internal|server) error\b"
    r"|\b(?:pars(?:e|ing)|read(?:ing)?) (?:the |your )?(?:JSON |request )?body\b|\bnot valid JSON\b"
    r"|\bunexpected EOF\b|\bunexpected end of (?:data|JSON|file|input)\b"
    r"|\bmodel (?:has |was |is )?(?:been )?(?:crashed|unloaded)\b|\bno models? (?:is |are )?loaded\b"
    r"|\bconnection (?:was )?(?:refused|reset|closed|aborted)\b|\boperation (?:was )?cancell?ed\b"
    r"|\bstatus code \(no body\)|\bnetwork error\b|\bupstream (?:\w+ )?(?:error|failed|failure)\b"
    r"|\bfailed to load (?:the )?model\b|\bdegraded function\b"
    # vLLM and FastChat report exceptions of their own as a 400.
    rf"|\balready borrowed\b|\bout of memory\b|\bCUDA error\b|\[Errno \d+\]|{TIMED_OUT}",
)

# An account's credit that requests in flight have reserved.
IN_FLIGHT = _sign(words=r"\bin-?\s?flight\b|\bconcurrent requests?\b|\brequests? settle")

WRONG_PATH = _sign(
    words=r"\b(?:invalid|unknown|unexpected|unhandled) (?:request )?(?:url|path|route|endpoint)\b"
    r"|\b(?:page|file|resource|route|path|url) (?:was )?not found\b"
)


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
        if re.search(TIMED_OUT, self.error.own_words, re.IGNORECASE):
            return False
        has_field = any("flagged_input" in one for one in self.error.objects)
        return has_field or REFUSED_ROW.in_codes(self.error.codes) or REFUSED_ROW.in_words(self.error.words)

    @property
    def allows_no_images(self) -> bool:
        named = TOO_MANY_IMAGES.search(self.error.words)
        return named is not None and named["limit"] == "0"

    @property
    def says_when(self) -> bool:
        """Whether the reply says to retry later. The refusal is then not permanent."""
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
