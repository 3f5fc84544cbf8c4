"""What each fault that refuses a request says. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime

from persqa_client.simulator.error_responses import Refusal, bad_request, busy, engine_dead, html

WORDS: dict[str, tuple[int, str, str | None]] = {
    "408": (408, "Request timed out.", None),
    "409": (409, "The request conflicts with another one; please try again.", None),
    "425": (425, "Too early; please try again.", None),
    "500": (500, "Internal server error", None),
    "payment": (402, "Insufficient credits: this account has no balance left.", "insufficient_credits"),
    "forbidden": (403, "This key is not allowed to use this model.", "permission_denied"),
    "too_large": (413, "The request body is larger than this server takes.", "request_too_large"),
    "unprocessable": (422, "The request can't be processed.", None),
}
"""Status, message and OpenAI's code of the faults that need no more than that."""

PAGES = {
    "502_html": (502, "Bad Gateway"),
    "504": (504, "Gateway Time-out"),
    "520": (520, "Web server is returning an unknown error"),
}


def refusal_for(kind: str, retry_after: float, now: datetime) -> Refusal:
    """The refusal that a fault of this kind (DOOR or LATE in simulator/faults.py) stands for."""
    if kind in WORDS:
        status, message, code = WORDS[kind]
        return Refusal(status, message, code=code)
    if kind in PAGES:
        return html(*PAGES[kind])
    if kind == "503":
        return busy()
    if kind == "engine_dead":
        return engine_dead()
    if kind == "quota":
        return quota()
    if kind in ("429", "429_date"):
        return rate_limit(wait_until(now, retry_after) if kind == "429_date" else f"{retry_after:g}")
    return bad_request(f"The simulator has no words for the fault {kind!r}.")


def rate_limit(retry_after: str) -> Refusal:
    """Too many requests; ``retry_after`` is the header's value, seconds or a date."""
    message = "Rate limit reached for requests; please try again later."
    return Refusal(429, message, code="rate_limit_exceeded", headers={"Retry-After": retry_after})


def quota() -> Refusal:
    """A 429 that no waiting helps: the account is empty. Servers of either shape pass OpenAI's words on."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return Refusal(429, message, code="insufficient_quota", type="insufficient_quota")


def wait_until(now: datetime, seconds: float) -> str:
    """An HTTP date (RFC 9110, section 5.6.7), which has whole seconds; rounded up. ``now`` is in UTC."""
    later = now + timedelta(seconds=seconds)
    if later.microsecond:
        later = later.replace(microsecond=0) + timedelta(seconds=1)
    return format_datetime(later, usegmt=True)
