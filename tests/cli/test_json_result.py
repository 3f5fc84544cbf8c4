"""``--json``: one object on stdout, however the run ends."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.cli.json_result import find_state
from persqa_client.errors import RunStopped, SettingsError, StorageError
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, Simulator, run_simulator
from tests.run.recheck_runs import finish_run, mix
from tests.support.commands import lines_in, persqa, start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    lines = [{"image": "a.png", "n": number} for number in range(5)] + [{"image": "none.png"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def run_as_json(folder: Path, base_url: str, *flags: str) -> tuple[dict[str, Any], str]:
    """The object, and what stands on stderr."""
    words = ("run", "in.jsonl", "--base-url", base_url, "--model", DEFAULT_MODEL, "--no-probes", "--json", *flags)
    result = persqa(*words, cwd=folder)
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["exit_code"] == result.returncode
    return found, result.stderr


def test_a_finished_run_tells_its_counts_cost_and_files(folder: Path, simulator: Simulator) -> None:
    prices = ("--price-in", "1000000", "--price-out", "0")
    found, _ = run_as_json(folder, simulator.base_url, "-o", "qa.jsonl", *prices)
    counts = {name: found[name] for name in ("state", "exit_code", "reason", "resume", "rows", "questions")}
    assert (found["shard"], run_as_json(folder, simulator.base_url, "-o", "1.jsonl", "--shard", "1/2")[0]["shard"]) == (
        None,
        "1/2",
    )
    assert counts == {"state": "finished", "exit_code": 1, "reason": None, "resume": None, "rows": 6, "questions": 6}
    assert (found["answered"], found["failed"], found["failed_by_code"]) == (5, 1, {"image_missing": 1})
    assert (found["requests"], found["tokens"]["prompt"] > 0, found["seconds"] > 0) == (5, True, True)
    assert found["cost"]["amount"] == found["tokens"]["prompt"]
    assert (found["cost"]["currency"], found["cost"]["source"]) == (None, "--price-in and --price-out")
    assert {(folder / name).exists() for name in found["files"].values()} == {True}
    assert found["files"].keys() == {"output", "failed", "details", "run", "timeline"}
    again, errors = run_as_json(folder, simulator.base_url, "-o", "qa.jsonl")
    assert (again["state"], again["rows"], again["cost"]) == ("already", 6, None)
    assert "already finished" in errors


def test_a_run_that_stops_tells_why_and_how_to_go_on(folder: Path, simulator: Simulator) -> None:
    found, errors = run_as_json(folder, "http://127.0.0.1:9/v1", "-o", "qa.jsonl", "--max-outage", "0")
    assert (found["state"], found["exit_code"], found["rows"]) == ("stopped", 3, 0)
    assert found["reason"]["code"] == "no_connection_refused"
    assert found["reason"]["message"] in errors
    assert found["resume"].endswith("Run the same command again to resume qa.jsonl.")
    budget = ("--concurrency", "1", "--max-tokens-total", "1")
    found, _ = run_as_json(folder, simulator.base_url, "-o", "qa.jsonl", *budget)
    assert (found["state"], found["reason"]["code"]) == ("stopped", "budget")
    # The row without a picture fails beside the others.
    assert 1 <= found["answered"] == found["rows"] - found["failed"] < 5
    assert (found["resume"], "Raise it" in found["reason"]["message"]) == (None, True)
    assert "partial" in found["files"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-o", "-", "--failed", "failed.jsonl"), "--json and -o - both write to standard output"),
        (("--dry-run",), "--dry-run makes none"),
        (("--preview", "2"), "--preview makes none"),
        ((), "--output is missing"),
        (("-o", "qa.jsonl", "--log-file", "."), "--log-file: . can't be written"),
    ],
)
def test_a_run_that_is_refused_says_so_in_json(folder: Path, flags: tuple[str, ...], message: str) -> None:
    found, errors = run_as_json(folder, "http://127.0.0.1:9/v1", *flags)
    assert (found["state"], found["exit_code"], found["reason"]["code"]) == ("refused", 2, "settings")
    assert message in found["reason"]["message"]
    assert message in errors


def test_an_interrupted_run_counts_what_is_stored(folder: Path) -> None:
    """The first row stays unanswered, so that no other can be written."""
    (folder / "in.jsonl").write_text('{"image": "a.png"}\n' * 40)
    with run_simulator(SimSettings(latency=0.2)) as server:
        words = ("--base-url", server.base_url, "--model", DEFAULT_MODEL, "--no-probes", "--concurrency", "2")
        process = start("run", "in.jsonl", "-o", "qa.jsonl", "--json", *words, cwd=folder)
        while not lines_in(folder / "qa.jsonl.partial"):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    found = json.loads(out)
    assert (found["state"], found["exit_code"], found["reason"]["code"]) == ("interrupted", 130, "interrupted")
    assert 1 <= found["rows"] == found["answered"] < 40
    assert "resume qa.jsonl" in found["resume"]


def test_each_end_has_a_state() -> None:
    assert find_state(None, SettingsError("no"), 2) == "refused"
    assert find_state(None, StorageError("full"), 2) == find_state(None, RunStopped("away", "no"), 3) == "stopped"
    assert (find_state(None, None, 70), find_state(None, None, 130)) == ("failed", "interrupted")


def test_a_recheck_tells_its_changes(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    result = persqa("recheck", "qa.jsonl", "--json", "--dry-run", cwd=tmp_path)
    found = json.loads(result.stdout)
    assert (found["state"], found["exit_code"], found["questions"]) == ("checked", result.returncode, 13)
    text = persqa("recheck", "qa.jsonl", "--log-file", "log.txt", cwd=tmp_path).stdout
    for kind, heading in (("accepted", "now accepted"), ("rejected", "now rejected"), ("altered", "altered")):
        assert f"{heading:<13} {sum(found['changes'][kind].values())}\n" in text
    assert "rechecked     13 questions" in (tmp_path / "log.txt").read_text()
