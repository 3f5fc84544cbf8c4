"""Serves the counts of a run to Prometheus: on the loopback interface, from a thread, while the run works."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from persqa_client.endpoints.session import Session
from persqa_client.endpoints.traffic_counts import DURATION_BOUNDS, Durations
from persqa_client.errors import SettingsError
from persqa_client.keys import mask_keys
from persqa_client.run.run import Run

HOST = "127.0.0.1"


class RunCollector(Collector):
    """Reads the counts of the run whenever it is asked: the run itself does nothing for it.

    It is asked in another thread. What changes its size meanwhile is copied at once.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def collect(self) -> Iterator[Metric]:
        sessions = name_sessions(self._run.pool.sessions)
        yield from collect_requests(sessions)
        yield make_histogram({name: session.traffic.durations for name, session in sessions.items()})
        outcomes = CounterMetricFamily(
            "persqa_questions", "Questions with an outcome, by its code.", labels=["outcome"]
        )
        for outcome, count in dict(self._run.progress.outcomes).items():
            outcomes.add_metric([outcome], count)
        yield outcomes


def name_sessions(sessions: Sequence[Session]) -> dict[str, Session]:
    """By the URL of the endpoint; those that differ only in what a label does not show have their number behind it."""
    urls = [mask_keys(session.endpoint.base_url) for session in sessions]
    return {
        url if urls.count(url) == 1 else f"{url} ({number})": session
        for number, (url, session) in enumerate(zip(urls, sessions, strict=True), 1)
    }


def collect_requests(sessions: Mapping[str, Session]) -> Iterator[Metric]:
    own, by_reason = ["endpoint"], ["endpoint", "reason"]
    sent = CounterMetricFamily("persqa_requests", "Requests sent, with probes and retries.", labels=own)
    answered = CounterMetricFamily("persqa_answers", "Answers received.", labels=own)
    retries = CounterMetricFamily(
        "persqa_retries", "Requests sent again, by the code of the attempt before.", labels=by_reason
    )
    refusals = CounterMetricFamily("persqa_refusals", "Attempts refused because of load, by code.", labels=by_reason)
    tokens = CounterMetricFamily("persqa_tokens", "Tokens, as the endpoint counts them.", labels=["endpoint", "kind"])
    in_flight = GaugeMetricFamily("persqa_requests_in_flight", "Requests on their way to the endpoint.", labels=own)
    limit = GaugeMetricFamily("persqa_concurrency_limit", "Concurrent requests that are allowed.", labels=own)
    for name, session in sessions.items():
        traffic = session.traffic
        sent.add_metric([name], traffic.sent)
        answered.add_metric([name], traffic.answered)
        tokens.add_metric([name, "prompt"], traffic.usage.prompt)
        tokens.add_metric([name, "completion"], traffic.usage.completion)
        in_flight.add_metric([name], traffic.in_flight)
        limit.add_metric([name], session.concurrency_limit.permits)
        for family, counts in ((retries, traffic.retries), (refusals, traffic.refusals)):
            for reason, count in dict(counts).items():
                family.add_metric([name, reason], count)
    return iter((sent, answered, retries, refusals, tokens, in_flight, limit))


def make_histogram(durations: Mapping[str, Durations]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "persqa_request_duration_seconds", "Time from an answered request to its answer.", labels=["endpoint"]
    )
    for name, each in durations.items():
        total, buckets = 0, []
        for bound, count in zip((*map(str, DURATION_BOUNDS), "+Inf"), list(each.counts), strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([name], buckets, each.seconds)
    return family


@contextmanager
def serve_metrics(run: Run, port: int, announce: Callable[[str], None]) -> Iterator[None]:
    """``announce`` gets a sentence with the address.

    Raises SettingsError if the port can't be used.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(run))
    try:
        server, thread = start_http_server(port, HOST, registry)
    except OSError as error:
        raise port_error(port, error) from error
    announce(f"Metrics: http://{HOST}:{server.server_port}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check_metrics_port(port: int) -> None:
    """Raises SettingsError if the port is in use. Call it before work that would be lost."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError as error:
            raise port_error(port, error) from error


def port_error(port: int, error: OSError) -> SettingsError:
    reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return SettingsError(f"--metrics-port {port}: {reason}; give another port, or 0 for a free one")
