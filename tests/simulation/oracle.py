"""What the endpoints of a world allow at each moment."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import exp

from tests.simulation.endpoint import ANSWERING, EndpointSettings, Kind, Phase, Timeline
from tests.simulation.world import MAX_OUTAGE, World

# An endpoint's own refusal, which need not be waited for. Useless answers are refusals in another form.
REFUSING: frozenset[Kind] = frozenset({"account", "useless"})
# Seconds that a client may take to notice that an endpoint is good again: as long as the trouble lasted, since the
# waits between probes double, up to this. An endpoint that was left out is tried again more rarely.
MAX_NOTICE, MAX_NOTICE_LEFT_OUT = 12.0, 60.0
# Answers, in latencies, until the endpoint is full of requests again.
REFILL = 3.0
# Refused requests with a Retry-After that hold the others as well.
SEVERAL = 3


def answers(phase: Phase) -> bool:
    return phase.kind in ANSWERING and phase.slots != 0


def is_left_out(settings: EndpointSettings, start: float) -> bool:
    """Whether a run that starts now leaves the endpoint out for good: it is refused before the first answer."""
    return settings.timeline.at(start).kind == "account"


def may_stop(settings: EndpointSettings, start: float, now: float) -> bool:
    """Whether a run may give up this endpoint: it refuses, is bad for too long, or has been good for a short time."""
    timeline = settings.timeline
    if is_left_out(settings, start):
        return True
    index = timeline.index_at(now)
    if answers(timeline.phases[index]):
        return index > 0 and is_unnoticed(timeline, index, now, settings.latency)
    trouble = trouble_at(settings, index)
    return any(phase.kind in REFUSING for phase in trouble) or now - trouble[0].since >= MAX_OUTAGE - 1


def trouble_at(settings: EndpointSettings, index: int) -> tuple[Phase, ...]:
    """The phases of the trouble that lasts in a bad phase; good ones in between may be too short to be noticed."""
    timeline, first = settings.timeline, index
    while first > 1 and is_unnoticed(timeline, first - 1, timeline.phases[first].since, settings.latency):
        first -= 2
    return timeline.phases[first : index + 1]


def is_unnoticed(timeline: Timeline, index: int, now: float, latency: float) -> bool:
    before, since = timeline.phases[index - 1], timeline.phases[index].since
    if answers(before):
        return False
    return now - since <= notice_time(before.kind, since - before.since) + latency


def notice_time(kind: Kind, duration: float) -> float:
    return min(duration + 1.0, MAX_NOTICE_LEFT_OUT if kind in REFUSING else MAX_NOTICE)


Pause = tuple[float, float]


def find_common_pauses(pauses: list[Pause]) -> list[Pause]:
    """When several refused requests were asked to wait, so that a client holds the others too."""
    steps = sorted([(begin, 1) for begin, _ in pauses] + [(end, -1) for _, end in pauses])
    common, asked = list[Pause](), 0
    for (moment, step), (following, _) in pairwise(steps):
        asked += step
        if asked >= SEVERAL:
            common.append((moment, following))
    return common


def capacity(world: World, start: float, end: float, pauses: Mapping[int, list[Pause]]) -> float:
    """Answers that the endpoints could give between the two times, without what a client can't use.

    Left out are the time until it is noticed that an endpoint is good again, the time until it is full of requests,
    then and at the start, and the times in which each endpoint asked its clients to wait.
    """
    return sum(
        endpoint_capacity(settings, world, start, end, pauses.get(number, []))
        for number, settings in enumerate(world.endpoints)
        if not is_left_out(settings, start)
    )


def endpoint_capacity(settings: EndpointSettings, world: World, start: float, end: float, pauses: list[Pause]) -> float:
    concurrency = world.limits.concurrency
    total, timeline, usable = 0.0, settings.timeline, start
    for index, phase in enumerate(timeline.phases):
        since, until = phase.since, timeline.end_of(index)
        latency = settings.latency * exp(settings.spread**2 / 2)
        if since <= start < until:
            usable = max(usable, start + latency * phase.slowness)
        if not answers(phase):
            usable = max(usable, until + notice_time(phase.kind, until - since) + REFILL * latency)
            continue
        slots = settings.slots if phase.slots is None else phase.slots
        if isinstance(concurrency, int):
            slots = min(slots, concurrency)
        begin, finish = max(since, usable, start), min(until, end)
        if finish > begin:
            held = sum(max(0.0, min(finish, after) - max(begin, before)) for before, after in pauses)
            total += (finish - begin - held) * slots / (latency * phase.slowness)
    return total
