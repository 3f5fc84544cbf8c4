"""Each scenario sends the recorded requests, draws the recorded questions and writes the recorded lines."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest

from persqa_client.endpoints.breaker import plain_request
from tests.goldens.scenarios import SCENARIOS, Scenario, play, prepare, read_golden

LINES_SHOWN = 3


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_requests_and_files_are_as_recorded(scenario: Scenario, tmp_path: Path) -> None:
    prepare(tmp_path)
    _, parts = play(scenario, tmp_path)
    for part, data in parts.items():
        golden = read_golden(scenario.name, part)
        if part == "requests":
            golden, data = without_trials(golden), without_trials(data)
        if data != golden:
            pytest.fail(f"{scenario.name}: {part} differ\n{first_differences(golden, data)}", pytrace=False)


def without_trials(requests: bytes) -> bytes:
    """Without the breaker's trials of the endpoint, which repeat a request or describe a built-in picture."""
    lines = dict.fromkeys(requests.splitlines(keepends=True))
    return b"".join(line for line in lines if plain_request().prompt.encode() not in line)


def first_differences(golden: bytes, data: bytes) -> str:
    """The first lines that are on one side only, each cut into short pieces so that a difference can be seen."""
    old, new = golden.decode().splitlines(), data.decode().splitlines()
    lost = [line for line in old if line not in set(new)]
    added = [line for line in new if line not in set(old)]
    shown = [f"{len(old)} lines recorded, {len(new)} now; {len(lost)} are lost, {len(added)} are new"]
    if not lost and not added:
        shown.append("the same lines, in another order or number")
    for number in range(min(LINES_SHOWN, max(len(lost), len(added)))):
        before, after = ("".join(lines[number : number + 1]) for lines in (lost, added))
        shown += unified_diff(pieces(before), pieces(after), "recorded", "now", lineterm="", n=1)
    return "\n".join(shown)


def pieces(line: str) -> list[str]:
    return line.replace(', "', ',\n"').replace(',"', ',\n"').replace("{", "{\n").splitlines()
