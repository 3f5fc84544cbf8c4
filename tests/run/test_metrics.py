"""Metrics of a run for Prometheus: values, names, the port, and that nothing is left when the run has ended."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from persqa_client.config import Endpoint
from persqa_client.errors import SettingsError
from persqa_client.run.background import execute_with_monitors
from persqa_client.run.metrics import HOST, check_metrics_port, name_sessions
from persqa_client.run.run import Run
from persqa_client.simulator.server import SimSettings, run_simulator
from tests.run.test_progress import make_run, picture
from tests.support.commands import persqa

__all__ = ["picture"]

README = (Path(__file__).parents[2] / "persqa_client" / "endpoints" / "README.md").read_text(encoding="utf-8")


class Scraper:
    """Reads the metrics of a run when half of its rows are done."""

    def __init__(self) -> None:
        self.address = self.text = ""

    def announce(self, sentence: str) -> None:
        self.address = sentence.removeprefix("Metrics: ")

    async def scrape(self, run: Run) -> None:
        while run.progress.done < 4:
            await asyncio.sleep(0.01)
        self.text = await asyncio.to_thread(read_text, self.address)


def read_text(address: str) -> str:
    with urllib.request.urlopen(address) as answer:
        return str(answer.read().decode())


def serve_on(run: Run, port: int) -> Run:
    run.settings = run.settings.model_copy(update={"metrics_port": port})
    return run


async def test_the_metrics_of_a_run_are_those_of_its_endpoint_and_rows(picture: Path) -> None:
    scraper, threads = Scraper(), threading.active_count()
    with run_simulator(SimSettings(latency=0.2)) as server:
        run = serve_on(make_run(server.base_url, picture, 8), 0)
        await execute_with_monitors(run, scraper.scrape, announce=scraper.announce)
    samples = {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "endpoint")): sample.value
        for family in text_string_to_metric_families(scraper.text)
        for sample in family.samples
    }
    assert samples["persqa_questions_total", "accepted"] >= 4
    assert samples["persqa_answers_total",] == samples["persqa_request_duration_seconds_count",] >= 4
    assert samples["persqa_request_duration_seconds_bucket", "+Inf"] == samples["persqa_answers_total",]
    assert samples["persqa_request_duration_seconds_sum",] > 4 * 0.1
    assert samples["persqa_requests_total",] >= samples["persqa_answers_total",]
    assert samples["persqa_tokens_total", "completion"] > 0
    assert samples["persqa_concurrency_limit",] == 2
    assert 0 <= samples["persqa_requests_in_flight",] <= 2
    assert f'endpoint="{server.base_url}"' in scraper.text
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(read_text, scraper.address)
    assert threading.active_count() <= threads + 2


async def test_endpoints_that_differ_only_in_their_query_have_series_of_their_own(picture: Path) -> None:
    run = make_run("http://127.0.0.1:9/v1", picture, 1)
    url = run.settings.endpoint.base_url
    other = "http://127.0.0.1:10/v1"
    endpoints = [Endpoint(base_url=each, model="m") for each in (f"{url}?d=a", other, f"{url}?d=b")]
    settings = run.settings.model_copy(update={"endpoint": endpoints[0], "further_endpoints": tuple(endpoints[1:])})
    several = Run(settings, run.source)
    named = name_sessions(several.pool.sessions)
    for each in (run, several):
        await each.pool.aclose()
    assert list(named) == [f"{url} (1)", other, f"{url} (3)"]
    assert list(named.values()) == list(several.pool.sessions)


async def test_a_run_with_metrics_can_be_repeated_in_a_process(picture: Path) -> None:
    for _ in range(2):
        scraper = Scraper()
        with run_simulator(SimSettings()) as server:
            run = serve_on(make_run(server.base_url, picture, 6), 0)
            await execute_with_monitors(run, announce=scraper.announce)
        assert scraper.address.startswith(f"http://{HOST}:")


async def test_a_port_in_use_is_an_error_of_the_settings(picture: Path, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        sentence = f"--metrics-port {port}: it is in use; give another port, or 0 for a free one"
        with pytest.raises(SettingsError, match=re.escape(sentence)):
            check_metrics_port(port)
        run = serve_on(make_run("http://127.0.0.1:9/v1", picture, 1), port)
        with pytest.raises(SettingsError, match=re.escape(sentence)):
            await execute_with_monitors(run)
        await run.pool.aclose()
        (tmp_path / "rows.jsonl").write_text('{"image": "a.png"}\n')
        command = ("run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
        result = await asyncio.to_thread(partial(persqa, *command, "--metrics-port", str(port), cwd=tmp_path))
        assert (result.returncode, result.stderr) == (2, f"Error: {sentence}.\n")
        assert not (tmp_path / "qa.jsonl.checkpoint").exists()
    check_metrics_port(port)


def test_the_readme_lists_the_metrics(picture: Path) -> None:
    from persqa_client.run.metrics import RunCollector

    run = make_run("http://127.0.0.1:9/v1", picture, 1)
    suffixes = {"counter": "_total", "gauge": "", "histogram": ""}
    names = {family.name + suffixes[family.type] for family in RunCollector(run).collect()}
    asyncio.run(run.pool.aclose())
    assert set(re.findall(r"^\| `(persqa_\w+)`", README, re.MULTILINE)) == names
