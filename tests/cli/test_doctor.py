"""``persqa doctor``: its findings, its advice and its exit code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.support.commands import persqa


def parse_table(output: str) -> dict[str, list[str]]:
    """The texts of the table by label."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in output.split("\n\nSettings to use:")[0].splitlines():
        heading = line[:14].strip() or heading
        found.setdefault(heading, []).append(" ".join(line[14:].split()))
    return found


def diagnose(tmp_path: Path, *flags: str, **simulator: Any) -> tuple[int, dict[str, list[str]], str, str]:
    """Exit code, table, suggested command and stderr."""
    with run_simulator(SimSettings(latency=0.0, **simulator)) as server:
        result = persqa("doctor", "--base-url", server.base_url, *flags, cwd=tmp_path)
        _, _, advice = result.stdout.partition("Settings to use:\n")
        advice = advice.replace(server.base_url, "URL").strip()
        return result.returncode, parse_table(result.stdout), advice, result.stderr


def test_it_prints_what_a_server_supports_and_the_settings_to_use(tmp_path: Path) -> None:
    code, table, advice, error = diagnose(tmp_path)
    assert (code, error) == (0, "")
    assert re.fullmatch(r"seen: .+ \('\w+'\)", table.pop("images")[0])
    assert re.fullmatch(r"\d+\.\d\d s for a short answer", table.pop("latency")[0])
    assert table.pop("endpoint")[0].endswith("/v1")
    assert table == {
        "server": ["vLLM 0.32.0-simulator"],
        "models": [DEFAULT_MODEL],
        "tested model": [DEFAULT_MODEL],
        "context": ["8,192 tokens: room for 5 images of 1,003,520 pixels"],
        "image tokens": ["one per 28x28 pixels, as with Qwen2-VL, Qwen2.5-VL"],
        "image limit": ["4 per request"],
        "constraint": ["structured_outputs obeyed", "guided_regex ignored", "json_schema obeyed"],
        "prefill": ["continue_final_message obeyed", "partial ignored"],
        "seed": ["obeyed: equal seeds give equal answers, other seeds give others"],
        "uuid": ["supported: each image is sent once"],
    }
    assert advice == f"persqa run photos/ -o qa.jsonl --base-url URL --model {DEFAULT_MODEL} --strategy constrain"


def test_it_prints_the_dialect_of_a_hosted_server(tmp_path: Path) -> None:
    code, table, advice, _ = diagnose(tmp_path, shape="hosted", reject=("response_format",), partial=True)
    assert code == 0
    assert table["constraint"] == ["structured_outputs refused", "guided_regex refused", "json_schema refused"]
    assert table["prefill"] == ["continue_final_message refused", "partial obeyed"]
    assert table["context"] == ["unknown"]
    assert table["dialect"] == [
        "max_tokens is sent as max_completion_tokens",
        "temperature is left out: the server refuses it",
    ]
    assert advice.endswith("--strategy prefill")


def test_the_table_fits_the_terminal_and_the_command_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with run_simulator(
        SimSettings(latency=0.0, max_model_len=2048, models=("Organisation/A-Model-Of-A-Long-Name",))
    ) as server:
        output = persqa("doctor", "--base-url", server.base_url, cwd=tmp_path).stdout
    *table, command = output.splitlines()
    assert max(map(len, table)) <= 80
    assert shlex.split(command)[-2:] == ["--max-pixels", "489216"]


def test_its_result_is_one_object_for_a_script(tmp_path: Path) -> None:
    with run_simulator(SimSettings(latency=0)) as server:
        result = persqa("doctor", "--base-url", server.base_url, "--json", cwd=tmp_path)
        found = json.loads(result.stdout)
        assert (result.returncode, result.stderr, found["exit_code"]) == (0, "", 0)
        assert (found["model"], found["server"]["max_model_len"]) == (DEFAULT_MODEL, 8192)
        assert found["command"].startswith(f"persqa run photos/ -o qa.jsonl --base-url {server.base_url} ")
    with run_simulator(SimSettings(latency=0, blind=True)) as server:
        result = persqa("doctor", "--base-url", server.base_url, "--json", cwd=tmp_path)
        found = json.loads(result.stdout)
    assert (result.returncode, found["exit_code"], found["reason"]["code"]) == (3, 3, "no_pictures")
    assert found["reason"]["message"] in result.stderr
    assert found["server"]["max_model_len"] == 8192


def test_an_unreachable_server_is_exit_3(tmp_path: Path) -> None:
    with run_simulator(SimSettings()) as stopped:
        pass
    assert persqa("doctor", "--base-url", stopped.base_url, cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("simulator", "finding", "reason"),
    [
        pytest.param({"limit_images": 0}, "rejected: At most 0 image(s) may be", "At most 0 image(s)", id="reject"),
        pytest.param({"blind": True}, "not passed to the model", "does not show them to the model", id="ignore"),
        pytest.param({"faults": {"500": 1.0}}, "no answer: ", "was not answered", id="fail"),
    ],
)
def test_a_server_that_does_not_see_images_is_exit_3(
    tmp_path: Path, simulator: dict[str, Any], finding: str, reason: str
) -> None:
    code, table, advice, error = diagnose(tmp_path, **simulator)
    assert code == 3
    assert " ".join(table["images"]).startswith(finding), "the findings are printed all the same"
    assert error.startswith("Error: ")
    assert reason in error
    assert advice == ""


def test_a_model_that_is_not_served_is_exit_3(tmp_path: Path) -> None:
    code, table, _, error = diagnose(tmp_path, "--model", "another")
    assert (code, table) == (3, {})
    assert "'another'" in error


@pytest.mark.parametrize("command", [["doctor"], ["run", "rows.jsonl", "-o", "qa.jsonl"]])
def test_a_wrong_path_of_the_address_is_named_as_the_cause(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "a.jpg"}\n')
    with run_simulator(SimSettings()) as server:
        wrong = f"{server.base_url.removesuffix('/v1')}/v2"
        result = persqa(*command, "--base-url", wrong, cwd=tmp_path)
    assert result.returncode == 2
    assert f"{wrong}/models answers 404: check the path of --base-url" in result.stderr


def test_an_invalid_base_url_is_exit_2(tmp_path: Path) -> None:
    result = persqa("doctor", "--base-url", "http://[::1/v1", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "Error: --base-url: must look like http://HOST:PORT/v1.\n")
