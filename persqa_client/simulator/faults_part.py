"""Which fault a request meets, drawn from a seed, its body and how often that came. Pure but for its counts.

Kinds by what they break:

door      refused before any work: 429 429_date 503 408 409 425 quota payment forbidden too_large unprocessable
late      refused after the time of service: 500 502_html 504 520 engine_dead
wire      the connection or its bytes: reset cut_body stall invalid_json
body      a 200 without an answer: no_choices null_content error_in_200
answer    an answer that is no good: length content_filter refusal refusal_field no_tag bare_tag html_tag bold_tag
          upper_tag empty only_tag think fenced
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from persqa_client.simulator.lru import Memory

DOOR = (
    "429",
    "429_date",
    "503",
    "408",
    "409",
    "425",
    "quota",
    "payment",
    "forbidden",
    "too_large",
    "unprocessable",
)
LATE = ("500", "502_html", "504", "520", "engine_dead")
WIRE = ("reset", "cut_body", "stall", "invalid_json")
BODY = ("no_choices", "null_content", "error_in_200")
ANSWER = (
    "length",
    "content_filter",
    "refusal",
    "refusal_field",
    "no_tag",
    "bare_tag",
    "html_tag",
    "bold_tag",
    "upper_tag",
    "empty",
    "only_tag",
    "think",
    "fenced",
)
KINDS = DOOR + LATE + WIRE + BODY + ANSWER

SEEN_BODIES = 1_000_000


def draw(rates: Mapping[str, float], seed: int, digest: bytes, times: int) -> str | None:
    """The fault of one request, or None: the same for the same arguments in any process; ``times`` counts from 0."""
    key = b"%d:%d:" % (seed, times) + digest
    point = int.from_bytes(blake2b(key, digest_size=8).digest(), "big") / 2**64
    for kind, rate in rates.items():
        if point < rate:
            return kind
        point -= rate
    return None


class Faults:
    """Deals out the faults of one endpoint: first the script, then by rate. A body sent again gets a new draw."""

    def __init__(self, rates: Mapping[str, float], seed: int = 0, script: Sequence[str] = ()) -> None:
        self.rates = {kind: rate for kind, rate in rates.items() if rate > 0}
        self.seed = seed
        self.script = list(reversed(script))
        self.seen = Memory[bytes, int](SEEN_BODIES)

    def next(self, body: bytes) -> str | None:
        """The fault of the next chat request, which has this body."""
        if self.script:
            kind = self.script.pop()
            return None if kind == "ok" else kind
        if not self.rates:
            return None
        digest = blake2b(body, digest_size=8).digest()
        times = self.seen.get(digest) or 0
        self.seen.put(digest, times + 1)
        return draw(self.rates, self.seed, digest, times)
