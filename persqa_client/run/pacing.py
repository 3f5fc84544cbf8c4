"""Derives from the user's rate limits how many probes and requests can be sent."""

from __future__ import annotations

from dataclasses import dataclass

from persqa_client.config import Limits
from persqa_client.probing.probe import ProbeDepth
from persqa_client.run.settings import RunSettings

# Approximate requests of all probes, of the probes that a strategy needs, and of the vision probe alone.
ALL_PROBES, STRATEGY_PROBES, VISION_PROBES = 20, 8, 2
# Tokens that a probe counts: a picture of 560x560 pixels and a few words.
PROBE_TOKENS = 500
# Seconds that the probes may take before the first row.
PROBE_SECONDS = 60.0
# Minimum duration of the probes, in seconds, that the progress mentions.
NOTICED_SECONDS = 2.0
# Minimum interval between two requests, in seconds, for which the pace is announced.
SLOW_INTERVAL = 5.0
# Lower bound of the text tokens of a request.
TEXT_TOKENS = 100
# Largest number of pixels per image token, so that the estimate of image tokens is a lower bound, too.
PIXELS_PER_TOKEN = 32 * 32


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two requests, and the flag that asks for them."""

    interval: float
    flag: str


def slowest_pace(limits: Limits, tokens: int) -> Pace | None:
    """The slowest pace for requests with these tokens. None if there is no rate limit."""
    paces = []
    if limits.rps is not None:
        paces.append(Pace(1 / limits.rps, f"--rps {limits.rps:g}"))
    if limits.rpm is not None:
        paces.append(Pace(60 / limits.rpm, f"--rpm {limits.rpm:g}"))
    if limits.tpm is not None:
        paces.append(Pace(60 * tokens / limits.tpm, f"--tpm {limits.tpm}"))
    return max(paces, key=lambda pace: pace.interval, default=None)


def count_probes(depth: ProbeDepth, strategy: str) -> int:
    if depth == "identity":
        return 0
    if depth == "all":
        return ALL_PROBES
    return VISION_PROBES if strategy == "direct" else STRATEGY_PROBES


def plan_probes(settings: RunSettings, wanted: ProbeDepth) -> tuple[ProbeDepth, str | None]:
    """The depth that takes at most ``PROBE_SECONDS``, and a warning if there is no such depth or if it takes longer.

    A strategy that depends on the probes is always probed.
    """
    pace, strategy = slowest_pace(settings.limits, PROBE_TOKENS), settings.recipe.strategy
    if pace is None or pace.interval * count_probes(wanted, strategy) <= PROBE_SECONDS:
        return wanted, None
    seconds = pace.interval * count_probes("strategy", strategy)
    if seconds <= PROBE_SECONDS:
        return "strategy", None
    if strategy in ("constrain", "prefill"):
        return "strategy", f"With {pace.flag}, the probes of --strategy {strategy} take about {seconds:.0f} s."
    return "identity", (
        f"With {pace.flag}, the probes would take about {seconds:.0f} s, so they are left out: whether the model sees "
        "pictures is not tested, and answers are not constrained."
    )


def describe_probe_phase(depth: ProbeDepth, settings: RunSettings) -> str:
    """The phase in which the probes run."""
    if depth == "identity":
        return "Asking for the server's models"
    requests = count_probes(depth, settings.recipe.strategy)
    pace = slowest_pace(settings.limits, PROBE_TOKENS)
    seconds = 0.0 if pace is None else pace.interval * requests
    why = f" ({seconds:.0f} s with {pace.flag})" if pace is not None and seconds >= NOTICED_SECONDS else ""
    return f"Testing what the server can do{why}"


def announce_pace(settings: RunSettings) -> tuple[str, ...]:
    """Warnings if the limits allow few requests, or none with a large picture."""
    tokens = TEXT_TOKENS + settings.sampling.max_tokens + settings.recipe.max_pixels // PIXELS_PER_TOKEN
    tpm = settings.limits.tpm
    if tpm is not None and tpm < tokens:
        return (
            f"--tpm {tpm} is less than one request with a large picture counts ({tokens} tokens): lower --max-pixels "
            "or --max-tokens, or raise --tpm.",
        )
    pace = slowest_pace(settings.limits, tokens)
    if pace is None or pace.interval < SLOW_INTERVAL:
        return ()
    return (f"With {pace.flag}, a request is sent every {pace.interval:.0f} s.",)
