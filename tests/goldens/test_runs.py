"""Runs that commit 57bc344 left unfinished, failed or finished go on to the same files, and ask nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client.endpoints.breaker import plain_request
from persqa_client.storage.checkpoint import FORMAT
from tests.goldens.killed import CASES, RUNS, Case, going_on, results
from tests.goldens.server import RecordingServer
from tests.goldens.surfaces import key_paths


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_run_of_the_frozen_version_goes_on(case: Case, tmp_path: Path) -> None:
    home = RUNS / case.name
    noted = json.loads((home / "case.json").read_bytes())
    with going_on(case.name, tmp_path) as (code, server):
        pass
    assert results(tmp_path) == results(home / "after")
    assert asked_seeds(server) == noted["asked"]
    assert code == noted["exit"]
    if None not in case.stages:
        first = [body for body in server.bodies if len(body["messages"]) == 2 and body["max_tokens"] == 512]
        assert len(first) == count_open(case) > 0
    run = json.loads((tmp_path / "out.run.json").read_bytes())
    assert run["lengths"]["output"] == (tmp_path / "out.jsonl").stat().st_size
    check_run_file(
        json.loads((home / "after" / "out.run.json").read_bytes()),
        run,
    )


def asked_seeds(server: RecordingServer) -> list[int]:
    """Without the breaker's trials of the endpoint, which repeat a request or describe a built-in picture."""
    bodies = {json.dumps(body, sort_keys=True): body for body in server.bodies}
    plain = plain_request().prompt
    return sorted(body["seed"] for text, body in bodies.items() if plain not in text)


def count_open(case: Case) -> int:
    """How many questions neither the written rows nor the journal of a killed run have."""
    before = RUNS / case.name / "before"
    checkpoint = json.loads((before / "out.jsonl.checkpoint").read_bytes())
    journaled = {
        (entry["row"], entry["question_number"])
        for path in before.glob("out.jsonl.journal*")
        for entry in map(json.loads, path.read_bytes().splitlines())
    }
    questions = int(case.flags[case.flags.index("--questions") + 1]) if "--questions" in case.flags else 1
    count = 0
    for number, line in enumerate((before / "rows.jsonl").read_text().splitlines(), 1):
        if line.endswith("}") and number > checkpoint["position"]["number"]:
            units = 1 if '"question"' in line else questions
            count += sum((number, unit) not in journaled for unit in range(units))
    return count


def check_run_file(recorded: dict[str, Any], run: dict[str, Any]) -> None:
    """New keys may come, none may go; what a later run depends on has the recorded values. The length of the failure
    file may change with the wording of its messages, that of the output with new details."""
    assert set(key_paths(recorded)) <= set(key_paths(run))
    assert run["format"] == FORMAT
    for name in ("tool", "output", "input", "position", "strategy"):
        assert run[name] == recorded[name], name
    counts = {name: run["counts"][name] for name in recorded["counts"] if name != "tokens"}
    assert counts == {name: count for name, count in recorded["counts"].items() if name != "tokens"}
    # The prompts of re-asks may be reworded.
    assert run["counts"]["tokens"]["completion"] == recorded["counts"]["tokens"]["completion"]
    for name, value in recorded["identity"].items():
        assert run["identity"][name] == value, name


def test_the_fixtures_are_what_they_are_called() -> None:
    for case in CASES:
        before = {path.name for path in (RUNS / case.name / "before").iterdir()}
        killed = any(case.stages)
        assert ("out.jsonl.checkpoint" in before) == killed, case.name
        assert any("journal" in name for name in before) == killed, case.name
        if killed:
            assert (RUNS / case.name / "before" / "out.jsonl.partial").stat().st_size > 0, case.name
