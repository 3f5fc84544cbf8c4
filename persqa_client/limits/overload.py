"""Distinguishes refusals because of load from noise: compares their shares under the limit and a lower one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from math import ceil, log, sqrt

from persqa_client.limits.controllers import LOWERED_FACTOR, LimitController, Permit

# Test under one limit: shares of refusals, in addition to the known noise, that are normal and that are too high.
NORMAL_SHARE, HIGH_SHARE, HIGH_FACTOR = 0.01, 0.065, 1.5
MAX_SHARE = 0.95
MAX_NOISE = 0.5  # a larger share is not noise under any limit
QUIET_SHARE = 0.002  # below this noise, one refusal is enough to return to a limit that was good
TOLERATED = 0.15  # accepted share of refusals while the server works on all permits: a lower limit would be slower
# Logarithms of likelihood ratios: suspicion, suspicion if a lower limit is known to be good, verdict, certainty.
ALARM, EARLY_ALARM, VERDICT, CERTAIN = 5.0, 2.0, 3.0, 12.0
KNOWN = 60  # outcomes after which the noise under a limit counts as known
MAX_OUTCOMES = 400  # outcomes after which the likelier verdict applies
REMAINDER = 0.25  # share of the refusals above the noise that may remain if refusals depend on load
NOISE_MEMORY = 500  # outcomes over which noise that has ended is forgotten
RETEST = 3000  # outcomes after which noise is examined again
WASTED = 0.2  # share of permits that refused requests occupy if the server has no room
MIN_EXCESS, MIN_RELATIVE_EXCESS = 0.03, 0.25  # excess over the noise from which a lower limit is tried

# A request counts as accepted after this multiple of the mean delay of a refusal, within these bounds in seconds.
MATURITY, MIN_MATURITY, MAX_MATURITY = 3.0, 0.02, 1.0
MAX_HOLD = 0.2  # longest pause in sending, relative to the time of an answer
MIN_RUN = 3  # consecutive refusals from which on the server may count as accepting nothing
# Seconds between requests while nothing is accepted.
MIN_BLACKOUT_WAIT, MAX_BLACKOUT_WAIT, BLACKOUT_GROWTH = 0.1, 5.0, 1.5
REOPENING = 4  # divisor of the limit when the server accepts requests again
# Recent requests that are stored, and the chance below which a run of refusals is not noise.
REMEMBERED, CHANCE = 128, 1e-5
# Length and chance of a run from which on refusals are counted before the outcomes of requests sent earlier.
SUDDEN_RUN, SUDDEN_CHANCE = 4, 1e-3


class State(Enum):
    WATCH = "watch"
    LOWERED = "lowered"  # under a lower limit, to see whether refusals end
    COUNT = "count"  # nothing is sent until the number of requests that the server has accepted is known
    CONFIRM = "confirm"  # under the suspected limit again, since its refusals may have been chance
    BLACKOUT = "blackout"  # nothing is accepted, however few requests are sent


@dataclass(slots=True)
class Tally:
    """Outcomes under one limit. ``score``: logarithm of a likelihood ratio."""

    sent: int = 0
    refused: int = 0
    score: float = 0.0
    since: float = 0.0
    refused_seconds: float = 0.0  # time for which refused requests held permits

    @property
    def low_share(self) -> float:
        """A cautious estimate of the share, without the refusal that raised the alarm, which would bias it."""
        refused = max(0, self.refused - 1)
        return min(MAX_SHARE, refused * (1 - 0.5 / sqrt(refused + 1)) / (max(self.sent, self.refused) + 5))


@dataclass(slots=True)
class RefusalMonitor:
    """``limit`` replaces the controller's while it is lower.

    A refused request counts for the limit under which it was sent. A request that is neither answered nor refused
    counts as accepted after a short time, so that accepted requests count as early as refused ones.
    """

    controller: LimitController
    limit: int | None = None
    noise: float = 0.0
    state: State = State.WATCH
    epoch: int = 0
    run: int = 0  # refusals since the last answer
    hold_until: float = 0.0
    _tally: Tally = field(default_factory=Tally)
    _before: Tally = field(default_factory=Tally)  # outcomes under the limit that is suspected
    _suspected: int = 0
    _was_early: bool = False
    _lower: int = 0  # the lower limit that was tried
    _lower_sent: int = 0  # requests sent under it
    _wasted: float = 0.0  # share of the suspected limit that the server did not serve
    _count_since: State = State.WATCH
    _served: int = 0  # answers while counting
    _in_use: int = 0
    _long_share: float = 0.0
    _outcomes: int = 0  # outcomes since noise was examined
    _known: int = 0  # outcomes so far
    _delay: float = 0.0  # mean time of a refusal
    maturity: float = MIN_MATURITY  # seconds after which a request counts as accepted
    _answer_seconds: float = 0.0
    _pending: deque[Permit] = field(default_factory=deque)
    _recent: deque[Permit] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _blackout_wait: float = MIN_BLACKOUT_WAIT

    @property
    def permits(self) -> int:
        permits = self.controller.permits
        return permits if self.limit is None else min(permits, self.limit)

    @property
    def nothing_is_accepted(self) -> bool:
        return self.state is State.BLACKOUT

    def record_sent(self, permit: Permit) -> None:
        permit.epoch = self.epoch
        self._pending.append(permit)
        self._recent.append(permit)

    def record_answer(self, permit: Permit, in_use: int, now: float) -> None:
        self.run = 0
        self._answer_seconds += (now - permit.since - self._answer_seconds) * (0.2 if self._answer_seconds else 1.0)
        if self.state is State.BLACKOUT:
            self._watch(now)
            self.limit = max(2, self.controller.permits // REOPENING)
        elif self.state is State.WATCH and self.limit is not None:
            self.limit = None if self.limit >= self.controller.permits else self.limit + 1
        if self.state is State.COUNT:
            self._served += 1
        if not permit.tallied:
            self._tally_outcome(permit, now)
        self.advance(in_use, now)

    def record_refusal(self, permit: Permit, in_use: int, now: float) -> None:
        """``in_use`` includes this permit."""
        self.run += 1
        delay = now - permit.since
        self._delay += (delay - self._delay) * (0.2 if self._delay else 1.0)
        self.maturity = min(MAX_MATURITY, max(MIN_MATURITY, MATURITY * self._delay))
        permit.refused = True
        if self.state is State.BLACKOUT:
            self._blackout_wait = min(MAX_BLACKOUT_WAIT, BLACKOUT_GROWTH * self._blackout_wait)
            self.hold_until = max(self.hold_until, now + self._blackout_wait)
        elif permit.epoch == self.epoch:
            self._tally.refused_seconds += min(delay, now - self._tally.since)
            if permit.tallied:
                if self._tally.sent and permit.since >= self._tally.since:
                    self._count(-1, 0, now)
                self._count(1, 1, now)
            elif self._is_early or self._refused_in_a_row(self._needed_run(SUDDEN_RUN, SUDDEN_CHANCE)):
                for earlier in self._pending:
                    if earlier.refused and not earlier.tallied:
                        self._tally_outcome(earlier, now)
        self.advance(in_use - 1, now)

    def record_end(self, permit: Permit) -> None:
        """Call when a request ends: before or after its outcome, or without one."""
        permit.ended = True

    def advance(self, in_use: int, now: float) -> None:
        """Applies the changes that are due at this time."""
        pending, age = self._pending, self.maturity
        # In order of sending, since refusals arrive before answers.
        while pending:
            permit = pending[0]
            if not (permit.tallied or permit.refused or permit.ended or now - permit.since >= age):
                break
            pending.popleft()
            if not permit.tallied and (permit.refused or not permit.ended):
                self._tally_outcome(permit, now)
        state = self.state
        if state is State.WATCH:
            if self._tally.score >= EARLY_ALARM and self._tally.score >= self._alarm:
                self._suspect(self._tally, in_use, now)
            elif self._outcomes >= RETEST and self.controller.fallback is None:
                self._examine_noise(in_use, now)
        elif state is State.COUNT:
            if now >= self.hold_until or not pending:
                self._finish_count(in_use, in_use + self._served, now)
        elif state is not State.BLACKOUT:
            self._judge(in_use, now)

    def _examine_noise(self, in_use: int, now: float) -> None:
        self._outcomes = 0
        if self.noise > HIGH_SHARE / 2 and self._long_share > self.noise / 2:
            before, self.noise = Tally(NOISE_MEMORY, round(NOISE_MEMORY * self._long_share)), 0.0
            self._suspect(before, in_use, now)

    def is_general(self, in_use: int) -> bool:
        """Whether too many requests in a row, in order of sending, were refused for this to be chance."""
        return self._refused_in_a_row(self._needed_run(4 + in_use // 8, CHANCE))

    def _needed_run(self, least: int, chance: float) -> int:
        if self.noise <= NORMAL_SHARE:
            return least
        return max(least, ceil(log(chance) / log(min(MAX_NOISE, self.noise))))

    def _refused_in_a_row(self, needed: int) -> bool:
        count = 0
        for permit in reversed(self._recent):
            if permit.refused:
                count += 1
                if count >= min(needed, REMEMBERED):
                    return True
            elif count:
                return False
        return False

    def _tally_outcome(self, permit: Permit, now: float) -> None:
        permit.tallied = True
        if permit.epoch == self.epoch and self.state is not State.BLACKOUT:
            self._count(1, int(permit.refused), now)

    @property
    def _alarm(self) -> float:
        return EARLY_ALARM if self._is_early else ALARM

    @property
    def _is_early(self) -> bool:
        """Whether a larger limit is being tried, with hardly any refusals before."""
        is_quiet = self._known >= KNOWN and self._long_share < QUIET_SHARE
        return self.state is State.WATCH and is_quiet and self.controller.fallback is not None

    def _shares(self) -> tuple[float, float]:
        """Shares of refusals whose likelihoods are compared."""
        is_confirmed = self.state is State.CONFIRM
        if is_confirmed or self.state is State.LOWERED or self._count_since is State.LOWERED:
            same = max(self._before.low_share, self.noise + NORMAL_SHARE)
            rest = self.noise + (same - self.noise) * REMAINDER
            return (rest, same) if is_confirmed else (same, rest)
        normal = min(MAX_NOISE, self.noise + NORMAL_SHARE)
        return normal, min((1 + normal) / 2, HIGH_FACTOR * self.noise + NORMAL_SHARE + HIGH_SHARE)

    def _count(self, sent: int, refused: int, now: float) -> None:
        tally = self._tally
        tally.sent += sent
        tally.refused += refused
        first, second = self._shares()
        if sent - refused:
            tally.score += (sent - refused) * log((1 - second) / (1 - first))
        if refused:
            tally.score += refused * log(second / first)
        if self.state is not State.WATCH:
            return
        if tally.score <= 0:
            self._tally = Tally(since=now)
        self._outcomes += sent
        if self.controller.fallback is None:
            self._known += sent
            self._long_share += (refused - self._long_share * sent) / NOISE_MEMORY
            if self.noise and tally.score < ALARM / 2:
                self.noise = min(MAX_NOISE, self._long_share)

    def _suspect(self, before: Tally, in_use: int, now: float) -> None:
        self._suspected, self._before, self._was_early = self.permits, before, self._is_early
        self._start_count(in_use, now)

    def _start_count(self, in_use: int, now: float) -> None:
        self._count_since, self.state = self.state, State.COUNT
        hold = min(self.maturity, MAX_HOLD * self._answer_seconds) if self._answer_seconds else self.maturity
        self.hold_until, self._served, self._in_use = now + hold, 0, in_use

    def _finish_count(self, in_use: int, served: int, now: float) -> None:
        if not served and self.run >= MIN_RUN:
            self.state, self.limit = State.BLACKOUT, 1
            self._blackout_wait = MIN_BLACKOUT_WAIT
            self.hold_until = now + self._blackout_wait
            self._change(now)
            return
        permits, fallback = self.permits, self.controller.fallback
        if self._count_since is State.WATCH:
            self._wasted = 1 - served / max(1, self._in_use)
            self._suspected = min(self._suspected, max(served, fallback or 1) + 1)
            if fallback is not None and self._was_early:
                self._saturate(min(fallback, max(1, served)), now)
                return
            if self._before is self._tally and (self._tally.score < ALARM / 2 or not self._exceeds_noise()):
                self._watch(now)
                return
            lower = min(max(served, 1), fallback or int(permits * LOWERED_FACTOR))
        elif self._is_wasting(permits, now):
            lower = min(max(served, 1), int(permits * LOWERED_FACTOR))
        else:
            lower = permits
        if 1 <= lower < permits:
            self.limit, self.state = lower, State.LOWERED
            self._change(now)
        else:
            self._accept_noise(now)

    def _exceeds_noise(self) -> bool:
        return self._before.low_share > self.noise + max(MIN_EXCESS, MIN_RELATIVE_EXCESS * self.noise)

    def _is_wasting(self, permits: int, now: float) -> bool:
        """Whether refused requests occupy permits because the server has no room for them."""
        tally = self._tally
        share = tally.refused / max(1, tally.sent)
        if share > MAX_NOISE:
            return True
        allowed = max(WASTED, 1.3 * share)
        return tally.refused_seconds > allowed * permits * max(now - tally.since, 1e-9)

    def _judge(self, in_use: int, now: float) -> None:
        """A positive score means that the refusals depend on load: there are few under the lower limit, or as many as
        before under the suspected one.
        """
        tally, is_over = self._tally, self._tally.sent >= MAX_OUTCOMES
        if tally.score >= VERDICT or (is_over and tally.score > 0):
            if self._before.low_share < TOLERATED and self._wasted < WASTED / 2:
                self._accept_noise(now)
            elif self.state is State.CONFIRM or self._before.score >= CERTAIN:
                if self.state is State.LOWERED:
                    self._lower, self._lower_sent = self.permits, tally.sent
                self._saturate(self._lower, now)
            else:
                self._lower, self._lower_sent, self.limit = self.permits, tally.sent, None
                self.state = State.CONFIRM
                self._change(now)
        elif tally.score <= -VERDICT or is_over:
            if self.state is State.CONFIRM:
                self._watch(now)
            else:
                self._start_count(in_use, now)

    def _saturate(self, limit: int, now: float) -> None:
        if self.state in (State.LOWERED, State.CONFIRM):
            # The refusals so far were due to load; under the lower limit, there was only noise.
            self._long_share, self._known = self.noise, self._lower_sent
        self._watch(now)
        self.controller.record_saturation(limit, self._suspected, now)

    def _accept_noise(self, now: float) -> None:
        """Records as noise the share of refusals under both limits, or that under the higher one if it is tolerated."""
        sent, refused = self._before.sent, self._before.refused - 1
        if self._count_since is State.LOWERED:
            sent, refused = sent + self._tally.sent, refused + self._tally.refused
        self.noise = self._long_share = min(MAX_NOISE, max(self.noise, refused / (sent + 10)))
        self._outcomes = 0
        self._watch(now)

    def _watch(self, now: float) -> None:
        self.state, self.limit, self._count_since = State.WATCH, None, State.WATCH
        self.hold_until = now
        self._change(now)

    def _change(self, now: float) -> None:
        self.epoch += 1
        self._tally = Tally(since=now)
