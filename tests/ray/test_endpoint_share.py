"""How the limits of an endpoint are divided among workers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from persqa_client.config import Limits
from persqa_client.limits.adaptive_limit import AdaptiveLimit
from persqa_client.ray.endpoint_share import HOLD, LEASE, EndpointShare, divide_permits
from persqa_client.ray.shared_limit import AnswerSample, EndpointReport, Events, Grant, Saturation

INTERVAL = 0.5


@dataclass
class Worker:
    """Has as many requests in flight as it may and can, and keeps those that it had when it gets fewer permits."""

    name: str
    share: EndpointShare
    load: int = 1000
    in_use: int = 0
    grant: Grant = field(default_factory=lambda: Grant(0))

    def report(self, now: float, **fields: object) -> Grant:
        report = EndpointReport(Events(), self.in_use, wanted=self.load)._replace(**fields)  # type: ignore[arg-type]
        self.grant = self.share.take_report(self.name, report, now)
        return self.grant

    def work(self, ending: int) -> None:
        """Some requests end, and others begin."""
        self.in_use = max(0, self.in_use - ending)
        self.in_use = max(self.in_use, min(self.grant.permits, self.load))


def test_parts_are_equal_and_what_some_do_not_need_goes_to_the_others() -> None:
    assert divide_permits(64, {"a": 100, "b": 100, "c": 100}) == {"a": 22, "b": 21, "c": 21}
    assert divide_permits(64, {"a": 4, "b": 100}) == {"a": 4, "b": 60}
    assert divide_permits(3, dict.fromkeys("abcde", 9)) == {"a": 1, "b": 1, "c": 1, "d": 0, "e": 0}
    assert divide_permits(8, {"a": 2, "b": 3}) == {"a": 2, "b": 3}
    assert divide_permits(8, {}) == {}


def test_never_more_requests_are_in_flight_than_allowed() -> None:
    """Workers come, go, and are lost, and their requests end late."""
    rng, share, now = random.Random(5), EndpointShare(Limits(concurrency=64)), 0.0
    workers: list[Worker] = []
    peak = 0
    for number in range(600):
        now += INTERVAL / 8
        if len(workers) < 16 and rng.random() < 0.1:
            workers.append(Worker(f"{number}", share, load=rng.choice([1, 5, 40, 1000])))
        if workers and rng.random() < 0.05:
            share.remove(workers.pop(rng.randrange(len(workers))).name)
        for worker in rng.sample(workers, k=len(workers) // 4):
            worker.report(now)
        for worker in workers:
            worker.work(ending=rng.randint(0, 3))
        in_flight = sum(worker.in_use for worker in workers)
        peak = max(peak, in_flight)
        assert in_flight <= 64, number
    assert peak == 64


def test_a_new_worker_gets_its_part_once_the_others_have_let_go() -> None:
    share = EndpointShare(Limits(concurrency=10))
    first, second = Worker("a", share), Worker("b", share)
    assert first.report(0.0).permits == 10
    first.work(0)
    assert second.report(0.1).permits == 0
    assert first.report(0.5).permits == 5
    assert second.report(0.6).permits == 0, "the first one may not have heard of it"
    first.work(ending=3)
    first.report(1.0)
    assert second.report(1.1).permits == 3
    first.work(ending=5)
    first.report(1.5)
    assert second.report(1.6).permits == 5


def test_the_permits_of_a_lost_worker_are_free_after_a_while() -> None:
    share = EndpointShare(Limits(concurrency=10))
    lost, other = Worker("a", share), Worker("b", share)
    lost.report(0.0)
    assert other.report(LEASE - 1).permits == 0
    assert other.report(LEASE + 0.1).permits == 10


def test_the_rates_are_those_of_all_workers_together() -> None:
    share = EndpointShare(Limits(concurrency=64, rps=40, tpm=60_000))
    workers = [Worker(name, share) for name in "abcd"]
    requests, tokens = dict.fromkeys("abcd", 0.0), 0.0
    seconds = 60
    for step in range(int(seconds / INTERVAL)):
        # All report at the same moment, in the same order.
        for worker in workers:
            grant = worker.report(step * INTERVAL, requests=1000.0, tokens=1e9)
            requests[worker.name] += grant.requests
            tokens += grant.tokens
    assert 0.97 * 40 * seconds <= sum(requests.values()) <= 40 * (seconds + 1)
    assert min(requests.values()) >= 0.8 * max(requests.values())
    assert 0.97 * 1000 * seconds <= tokens <= 1000 * (seconds + 5)


def test_a_slow_rate_is_granted_in_whole_requests() -> None:
    share = EndpointShare(Limits(concurrency=8, rpm=60))
    workers = [Worker(name, share) for name in "abc"]
    grants = [worker.report(step * 0.5, requests=5.0).requests for step in range(40) for worker in workers]
    assert set(grants) == {0.0, 1.0}
    assert 19 <= sum(grants) <= 21


def test_while_one_worker_sends_trials_the_others_wait() -> None:
    share = EndpointShare(Limits(concurrency=8))
    first, second = Worker("a", share), Worker("b", share)
    second.report(0.0)
    assert first.report(0.1, awaits_trial=True).pause == 0
    assert second.report(0.2).pause == HOLD
    assert second.report(0.3, awaits_trial=True).pause == 0, "it has found it out itself"
    first.report(0.5)
    second.report(0.6)
    assert (first.report(0.7).pause, second.report(0.8).pause) == (0, 0)


def test_a_server_that_asks_one_worker_to_wait_is_left_alone_by_all() -> None:
    share = EndpointShare(Limits(concurrency=8))
    first, second = Worker("a", share), Worker("b", share)
    first.report(0.0, paused=30.0)
    assert second.report(1.0).pause == 29.0
    first.report(20.0)
    assert second.report(20.1).pause == 0


def test_auto_searches_with_the_answers_of_all_workers() -> None:
    """A server that works on 40 requests at once, each in a second. A worker alone would see its own rate rise with its
    limit whatever the others lose by that.
    """
    share = EndpointShare(Limits(concurrency="auto", max_concurrency=512))
    workers = [Worker(name, share) for name in "abcd"]
    now = 0.0
    for _ in range(600):
        now += INTERVAL
        in_flight = sum(worker.in_use for worker in workers) or 1
        seconds = max(1.0, in_flight / 40)
        for worker in workers:
            ended = round(worker.in_use * INTERVAL / seconds)
            load = worker.in_use / max(1, worker.grant.permits)
            samples = [
                AnswerSample(seconds, INTERVAL * place / ended, 50, load, worker.grant.level, worker.grant.cuts, False)
                for place in range(ended)
            ]
            worker.report(now, events=Events(answers=samples))
            worker.work(ending=ended)
    assert isinstance(share.controller, AdaptiveLimit)
    assert 32 <= share.controller.limit <= 64


def test_refusals_that_depend_on_load_lower_the_limit_of_all() -> None:
    share = EndpointShare(Limits(concurrency=64))
    worker, other = Worker("a", share), Worker("b", share)
    for now in (0.0, 0.5, 1.0):
        worker.report(now)
        other.report(now)
    assert (worker.grant.permits, other.grant.permits) == (32, 32)
    worker.report(1.5, events=Events(saturations=[Saturation(limit=0.5, refused=0.75)]))
    assert share.controller.permits == 32
    other.report(1.6)
    assert worker.report(2.0).permits == 16
