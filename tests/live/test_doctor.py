"""What ``persqa doctor`` says of a real server."""

from __future__ import annotations

import subprocess

import pytest

from tests.live.commands import PERSQA, environment
from tests.live.endpoints import LiveEndpoint

# Each heading and the texts beside it.
Table = dict[str, list[str]]

# The context that scripts/serve_vllm.sh sets, beside a limit of four images.
AS_SERVED_BY_US = 8192


@pytest.fixture(scope="module")
def said(endpoint: LiveEndpoint) -> str:
    """All that the command prints."""
    done = subprocess.run(
        [PERSQA, "doctor", *endpoint.flags], env=environment(), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_table(said: str) -> Table:
    lines = said.split("\n\n")[0].splitlines()
    # The second column begins where that of the endpoint does, in the first line.
    column = lines[0].index("http")
    table: Table = {}
    heading = ""
    for line in lines:
        heading = line[:column].strip() or heading
        table.setdefault(heading, []).append(" ".join(line[column:].split()))
    return table


def test_the_server_its_model_and_a_picture_are_fit_for_a_run(endpoint: LiveEndpoint, said: str) -> None:
    table = read_table(said)

    assert table["tested model"] == [endpoint.model]
    # A model of random weights accepts an image, but can't name its colour.
    assert not table["images"][0].startswith(("ignored", "rejected", "failed"))
    assert said.splitlines()[-1].startswith(f"persqa run photos/ -o qa.jsonl --base-url {endpoint.base_url} --model ")


def test_vllm_obeys_what_it_is_known_to_obey(endpoint: LiveEndpoint, said: str) -> None:
    """Versions since 0.12; the doctor believes a form only when the answer shows it."""
    if endpoint.owner != "vllm":
        pytest.skip(f"{endpoint.base_url} is no vLLM")

    table = read_table(said)

    assert table["constraint"] == ["structured_outputs obeyed", "guided_regex ignored", "json_schema obeyed"]
    assert table["prefill"] == ["continue_final_message obeyed", "partial ignored"]
    assert table["context"][0].startswith(f"{endpoint.max_model_len:,} tokens")
    assert table["seed"][0].startswith("obeyed")
    assert table["uuid"][0].startswith("supported")
    assert "dialect" not in table
    assert said.splitlines()[-1].endswith("--strategy constrain")


def test_the_limits_are_those_that_the_server_was_started_with(endpoint: LiveEndpoint, said: str) -> None:
    if endpoint.owner != "vllm" or endpoint.max_model_len != AS_SERVED_BY_US or "Qwen2.5-VL" not in endpoint.model:
        pytest.skip(f"{endpoint.base_url} is no Qwen2.5-VL served by scripts/serve_vllm.sh")

    table = read_table(said)

    assert table["context"][0].startswith("8,192 tokens: room for 5 ")
    assert table["image limit"][0].startswith("4 ")
    assert "28x28" in table["image tokens"][0]
    assert "Qwen2.5-VL" in table["image tokens"][0]
