"""What ``persqa doctor`` says of a real server."""

from __future__ import annotations

import subprocess

import pytest

from tests.live.commands import PERSQA, environment
from tests.live.endpoints import LiveEndpoint

Table = dict[str, list[str]]
"""Each heading and the texts behind it."""

HEADING = 16
AS_SERVED_BY_US = 8192
"""The context that scripts/serve_vllm.sh sets, beside a limit of four pictures."""


def examine(endpoint: LiveEndpoint) -> str:
    done = subprocess.run(
        [PERSQA, "doctor", *endpoint.flags], env=environment(), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_table(said: str) -> Table:
    table: Table = {}
    heading = ""
    for line in said.split("\n\n")[0].splitlines():
        heading = line[:HEADING].strip() or heading
        table.setdefault(heading, []).append(" ".join(line[HEADING:].split()))
    return table


def test_the_server_its_model_and_a_picture_are_fit_for_a_run(endpoint: LiveEndpoint) -> None:
    said = examine(endpoint)
    table = read_table(said)

    assert table["model asked"] == [endpoint.model]
    # A model of random weights takes a picture, but can't tell its colour.
    assert table["pictures"][0].startswith(("seen: ", "taken, but its colour was not named: "))
    assert said.splitlines()[-1].startswith(f"persqa run photos/ -o qa.jsonl --base-url {endpoint.base_url} --model ")


def test_vllm_obeys_what_it_is_known_to_obey(endpoint: LiveEndpoint) -> None:
    """Versions since 0.12; the doctor believes a form only when the answer shows it."""
    if endpoint.owner != "vllm":
        pytest.skip(f"{endpoint.base_url} is no vLLM")

    said = examine(endpoint)
    table = read_table(said)

    assert table["constraint"] == ["structured_outputs obeyed", "guided_regex ignored", "json_schema obeyed"]
    assert table["prefill"] == ["continue_final_message obeyed", "partial ignored"]
    assert table["context"][0].startswith(f"{endpoint.max_model_len:,} tokens")
    assert table["seed"][0].startswith("obeyed")
    assert table["uuid"][0].startswith("known")
    assert "dialect" not in table
    assert said.splitlines()[-1].endswith("--strategy constrain")


def test_the_limits_are_those_that_the_server_was_started_with(endpoint: LiveEndpoint) -> None:
    if endpoint.owner != "vllm" or endpoint.max_model_len != AS_SERVED_BY_US or "Qwen2.5-VL" not in endpoint.model:
        pytest.skip(f"{endpoint.base_url} is no Qwen2.5-VL served by scripts/serve_vllm.sh")

    table = read_table(examine(endpoint))

    assert table["context"] == ["8,192 tokens: room for 5 pictures of 1,003,520 pixels"]
    assert table["image limit"] == ["4 in a request"]
    assert table["picture tokens"] == ["one for 28x28 pixels, as with Qwen2-VL, Qwen2.5-VL"]
