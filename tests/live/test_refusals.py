"""What a real server refuses, and the one sentence that a person gets for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.commands import ANSWER_CODES, PICTURES, Finished, run, sample_rows, write_rows
from tests.live.endpoints import LiveEndpoint, TinyVLLMServer


def assert_stopped(done: Finished, *words: str) -> None:
    """The run is stopped, one sentence says why, and no row is written as failed for it."""
    assert done.code == 3, done.said
    for word in words:
        assert word in done.error
    assert done.good == []
    assert done.failed == []


def assert_one_row_failed(done: Finished, code: str) -> None:
    """The second of two rows failed with its code; the first was answered, with words that the checks may reject."""
    assert done.code == 1, done.said
    codes = {row["id"]: row["error"]["code"] for row in done.failed}
    assert codes.pop("bad") == code
    assert set(codes.values()) <= ANSWER_CODES
    assert sorted([*codes, *(row["id"] for row in done.good)]) == ["fine"]


def test_an_unknown_model_stops_the_run(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    input = write_rows(tmp_path, sample_rows(30))

    done = run(input, replace(endpoint, model="no-such/model").flags)

    assert_stopped(done, "no-such/model", "--model")


def test_an_address_without_v1_stops_the_run_and_gives_the_right_one(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    if not endpoint.base_url.endswith("/v1"):
        pytest.skip(f"{endpoint.base_url} does not end with /v1")
    input = write_rows(tmp_path, sample_rows(30))

    done = run(input, replace(endpoint, base_url=endpoint.base_url.removesuffix("/v1")).flags)

    assert_stopped(done, f"--base-url {endpoint.base_url}")


def overlong(endpoint: LiveEndpoint) -> str:
    """A question of more words than the context has tokens."""
    if endpoint.max_model_len is None:
        pytest.skip(f"{endpoint.base_url} does not tell its context")
    return "What is <mam> doing" + " again and" * (endpoint.max_model_len // 2) + " again?"


def test_a_question_over_the_context_fails_its_row_alone(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    fine = {"id": "fine", "image": PICTURES[0]}
    input = write_rows(tmp_path, [fine, {"id": "bad", "image": PICTURES[0], "question": overlong(endpoint)}])

    done = run(input, endpoint.wordy_flags)

    assert_one_row_failed(done, "context_overflow")
    assert "maximum context length" in done.failed[0]["error"]["message"]


def test_the_same_refusal_of_all_first_rows_stops_the_run(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    """Twenty are enough to see that the rest would fare no better."""
    question = overlong(endpoint)
    input = write_rows(tmp_path, ({**row, "question": question} for row in sample_rows(40)))

    assert_stopped(run(input, endpoint.flags), "first 20 results", "maximum context length")


@pytest.mark.own_server
def test_too_many_pictures_fail_their_row_alone(own_server: TinyVLLMServer, tmp_path: Path) -> None:
    """Four a request are what scripts/serve_vllm.sh allows."""
    fine = {"id": "fine", "image": PICTURES[:4]}
    input = write_rows(tmp_path, [fine, {"id": "bad", "image": PICTURES[:5]}])

    done = run(input, own_server.endpoint.wordy_flags, own_server.environ)

    assert_one_row_failed(done, "too_many_images")
    assert "4 image" in done.failed[0]["error"]["message"]


@pytest.mark.own_server
def test_a_wrong_key_stops_the_run_and_is_shown_nowhere(own_server: TinyVLLMServer, tmp_path: Path) -> None:
    input = write_rows(tmp_path, sample_rows(30))

    done = run(input, own_server.endpoint.flags, {own_server.key_env: "sk-not-the-right-one"})

    assert_stopped(done, "401", "wrong or expired", "--api-key-env")
    assert "sk-not-the-right-one" not in done.said
    assert not any(b"sk-not-the-right-one" in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.own_server
def test_a_missing_key_stops_the_run_and_says_how_to_give_one(own_server: TinyVLLMServer, tmp_path: Path) -> None:
    input = write_rows(tmp_path, sample_rows(30))

    done = run(input, replace(own_server.endpoint, key_env=None).flags)

    assert_stopped(done, "401", "none was sent", "--api-key-env")
