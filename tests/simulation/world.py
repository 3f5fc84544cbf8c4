"""Worlds drawn from a seed: rows with their scripts, endpoints with their phases, and the client's limits."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from persqa_client.config import Limits
from tests.simulation.endpoint import EndpointSettings, Kind, Phase, Timeline
from tests.simulation.replies import Reply, SimRequest, completion, good_answer, html_page, refusal, reply_json

ROWS = 100
TIMEOUT, MAX_OUTAGE = 20.0, 120.0

# plain: answered well. cured: the second ask is. cut: ends at the token limit, and is whole with more tokens.
# flaky: fails once or twice, then is answered. The others are bad at every endpoint: rejected with a 400,
# stubborn without a tag, filtered by the provider, or killing the engine. scripted: has its own replies.
RowKind = Literal["plain", "cured", "cut", "flaky", "rejected", "stubborn", "filtered", "killer", "scripted"]
BAD_ROWS: frozenset[RowKind] = frozenset({"rejected", "stubborn", "filtered", "killer"})
ROW_WEIGHTS: dict[RowKind, float] = {
    "plain": 84,
    "cured": 5,
    "cut": 2,
    "flaky": 4,
    "rejected": 2,
    "stubborn": 2,
    "filtered": 1,
}

ACCOUNT_REFUSALS = (
    refusal(402, "Insufficient credits. Add more using https://provider.example/credits", code=402),
    refusal(403, "Key limit exceeded (total limit). Manage it using https://provider.example/settings/keys", code=403),
    refusal(400, "Your credit balance is too low to access the API.", type="invalid_request_error"),
    refusal(400, "Access denied, please make sure your account is in good standing.", code="Arrearage"),
    refusal(412, "Account x-1f3a is suspended, possibly due to reaching the monthly spending limit.", code="invalid"),
    refusal(401, "Incorrect API key provided.", code="invalid_api_key"),
    refusal(429, "You exceeded your current quota, please check your plan.", code="insufficient_quota"),
)
SERVER_ERRORS = (
    refusal(500, "Internal server error", type="server_error"),
    html_page(502, "502 Bad Gateway"),
    html_page(530, "530 The origin is unreachable"),
    reply_json(200, {"error": {"message": "Provider returned error", "code": 502}}, "200 with an error"),
    completion("", "error"),
    Reply(200, b"<html>Sign in to the network</html>", (("content-type", "text/html"),), "200 HTML"),
)
USELESS = (
    completion("", "length", tokens=512),
    completion(None, "length", tokens=512, reasoning_content="The picture shows a coat."),
    completion(None, "stop", reasoning_content="The picture shows a coat."),
    completion("", "stop"),
)
BUSY = (
    refusal(503, "The service is overloaded."),
    refusal(429, "Rate limit reached for requests."),
    refusal(429, "Too many requests.").after(0.05),
    refusal(503, "No slot is free.").after(2),
)
NOISE = (*BUSY[:3], refusal(500, "Internal server error"), html_page(502, "502 Bad Gateway"))

BAD_KINDS: dict[Kind, float] = {
    "slow": 2,
    "overloaded": 2,
    "account": 2,
    "errors": 2,
    "useless": 1,
    "frozen": 2,
    "resets": 1,
    "down": 2,
}


@dataclass(slots=True)
class RowScript:
    kind: RowKind = "plain"
    # Failures before the first answer, at any endpoint.
    failures: int = 0
    # Of a scripted row: to the first ask, and to the second.
    replies: tuple[Reply, ...] = ()


@dataclass(slots=True)
class World:
    seed: int
    rows: dict[int, RowScript]
    endpoints: list[EndpointSettings]
    limits: Limits
    # Seconds by which timers fire early.
    early: float = 0.0
    failures_sent: Counter[int] = field(default_factory=Counter)
    # Good answers that the client got, by row. A further one was paid for twice.
    delivered: Counter[int] = field(default_factory=Counter)

    def answer(self, asked: SimRequest, endpoint: int) -> Reply | None:
        if asked.row is None:
            return good_answer(None)
        script = self.rows[asked.row]
        if self.failures_sent[asked.row] < script.failures:
            self.failures_sent[asked.row] += 1
            return refusal(500, f"Failed to process request req-{asked.row:08x}")
        match script.kind:
            case "killer":
                return None
            case "scripted":
                return script.replies[-1 if asked.is_second_ask else 0]
            case "rejected":
                message = f"Image number {asked.row} has 9000 pixels, more than the largest size that is supported"
                return refusal(400, message, type="invalid_request_error")
            case "stubborn":
                return completion("The jacket is dark blue.")
            case "filtered":
                return completion("", "content_filter", tokens=1)
            case "cured" if not asked.is_second_ask:
                return completion("The jacket is dark blue.")
            case "cut" if not asked.is_second_ask:
                return completion("<mam> holds up a dark blue balloon over a", "length", tokens=512)
        self.delivered[asked.row] += 1
        return good_answer(asked.row)

    @property
    def bad_rows(self) -> frozenset[int]:
        return frozenset(row for row, script in self.rows.items() if script.kind in BAD_ROWS)


def draw_world(seed: int, rows: int = ROWS) -> World:
    rng = random.Random(seed)
    is_auto = rng.random() < 0.4
    count = rng.choices((1, 2, 3), (4, 4, 2))[0]
    calm = rng.random() < 0.2
    endpoints = [draw_endpoint(rng, calm=calm, max_slots=6) for _ in range(count)]
    most = max(endpoint.slots for endpoint in endpoints)
    limits = Limits(
        concurrency="auto" if is_auto else rng.choice((most, most + 4)),
        timeout=TIMEOUT,
        max_outage=MAX_OUTAGE,
    )
    kinds = rng.choices(list(ROW_WEIGHTS), list(ROW_WEIGHTS.values()), k=rows)
    scripts = {
        number: RowScript(kind, rng.randint(1, 2) if kind == "flaky" else 0) for number, kind in enumerate(kinds, 1)
    }
    return World(seed, scripts, endpoints, limits, early=rng.choice((0.0, 0.0005)))


def draw_endpoint(rng: random.Random, *, calm: bool, max_slots: int) -> EndpointSettings:
    noisy = rng.random() < 0.5
    latency = rng.uniform(0.4, 2.0)
    return EndpointSettings(
        timeline=Timeline([Phase(0.0)] if calm else draw_phases(rng, latency)),
        slots=rng.randint(2, max_slots),
        latency=latency,
        queues=rng.random() < 0.8,
        busy_replies=(rng.choice(BUSY),),
        noise=rng.uniform(0.01, 0.05) if noisy else 0.0,
        noise_replies=(rng.choice(NOISE),) if rng.random() < 0.5 else NOISE,
        has_health=rng.random() < 0.6,
    )


def draw_phases(rng: random.Random, latency: float) -> list[Phase]:
    """Good and bad in turn; good for ever at the end."""
    now, phases = 0.0, [Phase(0.0)]
    for _ in range(rng.randint(1, 3)):
        now += 2 * latency + rng.expovariate(1 / 12)
        phases.append(draw_bad_phase(rng, now))
        # Most are shorter than the longest outage that a run waits for.
        now += rng.uniform(200, 400) if rng.random() < 0.08 else rng.uniform(2, 70)
        phases.append(Phase(now))
    return phases


def draw_bad_phase(rng: random.Random, since: float) -> Phase:
    kind = rng.choices(list(BAD_KINDS), list(BAD_KINDS.values()))[0]
    match kind:
        case "slow":
            return Phase(since, kind, slowness=rng.uniform(2, 5))
        case "overloaded":
            return Phase(since, kind, replies=(rng.choice(BUSY),), slots=rng.choice((0, 1, 2)))
        case "account":
            return Phase(since, kind, replies=(rng.choice(ACCOUNT_REFUSALS),))
        case "errors":
            return Phase(since, kind, replies=(rng.choice(SERVER_ERRORS),))
        case "useless":
            return Phase(since, kind, replies=(rng.choice(USELESS),))
    return Phase(since, kind)
