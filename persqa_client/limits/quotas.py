"""What an account has left, by the x-ratelimit headers of an answer, and what a request will take of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from persqa_client.images.tokens import PictureTokens, by_size
from persqa_client.types import Request

Kind = Literal["requests", "tokens"]

CHARACTERS_PER_TOKEN = 3
"""Of a prompt's text; on the safe side for English, about right for Chinese."""

DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")
UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
LONGEST = 1e6
"""Seconds; a larger number is a moment in time, counted from 1970."""


def weight_of(request: Request, max_tokens: int, picture_tokens: PictureTokens = by_size) -> int:
    """Tokens that a request may take, its answer at its longest: that is what an account is charged for at first."""
    text = len(request.system) + len(request.prompt) + sum(len(turn.text) for turn in request.turns)
    pictures = sum(picture_tokens(picture) for picture in request.pictures)
    return text // CHARACTERS_PER_TOKEN + pictures + (request.max_tokens or max_tokens)


def seconds_to_hold(headers: Mapping[str, str], now: float, tokens: int = 1) -> float:
    """How long to send nothing: until there is room for one request more, of so many tokens. ``now`` is Unix time."""
    return max(_hold(headers, "requests", 1, now), _hold(headers, "tokens", tokens, now))


def _hold(headers: Mapping[str, str], kind: Kind, need: int, now: float) -> float:
    remaining = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
    if remaining is None or remaining >= need:
        return 0.0
    reset = read_reset(headers.get(f"x-ratelimit-reset-{kind}"), now)
    if reset is None:
        return 0.0
    limit = _number(headers.get(f"x-ratelimit-limit-{kind}"))
    # What is left comes back bit by bit; the reset is when all of it is there again.
    share = 1.0 if remaining <= 0 or limit is None or limit <= need else (need - remaining) / (limit - remaining)
    return share * reset


def read_reset(value: str | None, now: float) -> float | None:
    """Seconds until a limit is whole again: ``6ms``, ``1s``, ``1m30s``, ``20`` seconds, a moment in ISO or Unix time.

    >>> read_reset("1m30s", 0.0), read_reset("6ms", 0.0)
    (90.0, 0.006)
    """
    value = (value or "").strip()
    if not value:
        return None
    if (seconds := _number(value)) is not None:
        return max(0.0, seconds if seconds < LONGEST else seconds - now)
    if (found := DURATION.match(value)) is not None:
        return sum(unit * float(part) for unit, part in zip(UNITS, found.groups(), strict=True) if part)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now) if moment.tzinfo else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e12 else None
