"""Limits of a run's tokens, cost, failures and time: when they are reached, and how the run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from PIL import Image

from persqa_client import RunStopped, SettingsError, generate
from persqa_client.config import Limits, Price
from persqa_client.engines.budget import Spending, check_budget, cost_of, within_budget
from persqa_client.run.prices import find_price
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator

MODEL = "persqa-simulator"


def reached(failed: int = 0, seconds: float = 0.0, **limits: Any) -> str:
    """The flag that is named; empty if no limit is reached."""
    error = check_budget(Limits(**limits), Spending(900, 100, failed, monotonic() - seconds))
    return "" if error is None else error.message.partition("--")[2].partition(" ")[0]


def test_each_limit_is_reached_exactly() -> None:
    assert reached() == reached(10**6, 10**6) == ""
    assert (reached(max_tokens_total=1001), reached(max_tokens_total=1000)) == ("", "max-tokens-total")
    prices: dict[str, Any] = {"price_in": 1000.0, "price_out": 2000.0}
    assert cost_of(Price(1000.0, 2000.0), 900, 100) == pytest.approx(1.1)
    assert (reached(max_cost=1.11, **prices), reached(max_cost=1.1, **prices)) == ("", "max-cost")
    assert (reached(2, max_failures=3), reached(3, max_failures=3)) == ("", "max-failures")
    assert (reached(seconds=50, max_wall=60), reached(seconds=61, max_wall=60)) == ("", "max-wall")


def test_a_stop_names_what_was_used_at_the_end() -> None:
    spending, limits, warnings = Spending(), Limits(max_tokens_total=1000), list[str]()

    def work() -> None:
        with within_budget(limits, spending, warnings.append):
            spending.prompt_tokens = 1000
            error = check_budget(limits, spending)
            assert error is not None
            spending.prompt_tokens += 500  # requests in flight
            raise error

    with pytest.raises(RunStopped, match="has used 1,500 tokens"):
        work()
    with pytest.raises(RunStopped, match="has used 1,500 tokens"):
        work()
    assert spending.prompt_tokens == 1500  # a used budget allows nothing
    assert warnings == []


def test_a_run_that_ends_beyond_its_budget_says_so() -> None:
    spending, warnings = Spending(), list[str]()
    with within_budget(Limits(max_tokens_total=1000), spending, warnings.append):
        spending.prompt_tokens = 999
    assert warnings == []
    with within_budget(Limits(max_tokens_total=1000), spending, warnings.append):
        spending.prompt_tokens = 1500
    (warning,) = warnings
    assert warning.startswith("The run has used 1,500 tokens, and --max-tokens-total is 1,000. ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1h30m", 5400), ("1H 30M 5s", 5405), (90, 90)],
)
def test_times_are_read(text: object, seconds: float) -> None:
    assert Limits.model_validate({"max_wall": text}).max_wall == seconds


@pytest.mark.parametrize("text", ["", "1d", "30m1h", "h", "1:30", "-5", "0s", "nan"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^max_wall: "):
        Limits(max_wall=text)  # type: ignore[arg-type]


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    Image.new("RGB", (32, 32), (200, 0, 0)).save(tmp_path / "a.png")
    return [{"image": str(tmp_path / ("a.png" if n % 5 else "none.png")), "id": n} for n in range(1, 31)]


def run(server: Simulator, output: Path, rows: list[dict[str, Any]], **limits: Any) -> int:
    """How many requests the server has answered so far, also by a run that is stopped by its budget."""
    arguments: dict[str, Any] = {"base_url": server.base_url, "model": MODEL, "probes": False, "concurrency": 1}
    try:
        generate(rows, output, **arguments, **limits)
    except RunStopped as error:
        if error.code != "budget":
            raise
    answered: int = server.stats()["answered"]
    return answered


def test_a_stopped_run_goes_on_and_loses_nothing(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    output = tmp_path / "qa.jsonl"
    with run_simulator(SimSettings(latency=0)) as server:
        first = run(server, output, rows, max_tokens_total=500)
        asked = server.stats()["requests"]
        assert 0 < first <= asked < 24
        # Nothing is sent until the limit is raised.
        assert run(server, output, rows, max_tokens_total=500) == first
        assert server.stats()["requests"] == asked
        while (count := run(server, output, rows, max_failures=2)) < 24:
            assert count > first
            first = count
        assert count == server.stats()["requests"] == 24
    answered = [json.loads(line)["id"] for line in output.read_text().splitlines()]
    assert answered == [row["id"] for row in rows if row["id"] % 5]


def test_a_run_whose_last_row_reaches_the_limit_is_finished(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    output = tmp_path / "qa.jsonl"
    with run_simulator(SimSettings(latency=0)) as server:
        tokens = 0
        for row in rows[:2]:
            summary = generate([row], base_url=server.base_url, model=MODEL, probes=False)
            tokens += summary.tally.prompt_tokens + summary.tally.completion_tokens
        generate(rows[:2], output, base_url=server.base_url, model=MODEL, probes=False, max_tokens_total=tokens)
    assert len(output.read_bytes().splitlines()) == 2


@pytest.mark.slow
def test_a_run_that_gets_no_answer_is_stopped_in_time(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    with run_simulator(SimSettings(latency=1.5)) as server:
        assert 0 < run(server, tmp_path / "qa.jsonl", rows, max_wall="1s") < 24
        assert run(server, tmp_path / "qa.jsonl", rows, max_wall="1s") < 24


def test_the_cost_needs_a_price(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    flags: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "model": "gpt-5-mini", "max_cost": 1.0}
    with pytest.raises(SettingsError, match="the price of gpt-5-mini at this endpoint is not known"):
        generate(rows, tmp_path / "qa.jsonl", **flags)
    with pytest.raises(SettingsError, match="price_in and price_out belong together"):
        generate(rows, tmp_path / "qa.jsonl", **flags, price_in=1.0)


def test_prices_of_known_hosts_are_found() -> None:
    price = find_price("gpt-5-mini", "https://api.openai.com/v1")
    assert price is not None
    assert 0 < price.prompt < price.completion
    # Not that of a long context.
    long = find_price("gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai")
    assert long is not None
    assert long.prompt == 1.25
    assert find_price("gpt-5-mini", "http://127.0.0.1:8000/v1") is None
    assert find_price("no-such-model", "https://api.openai.com/v1") is None
