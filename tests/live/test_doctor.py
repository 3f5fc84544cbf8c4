"""What ``persqa doctor`` says of a real server."""

from __future__ import annotations

import subprocess

import pytest

from tests.live.commands import PERSQA, environment
from tests.live.endpoints import Endpoint


def examine(endpoint: Endpoint) -> str:
    done = subprocess.run(
        [PERSQA, "doctor", *endpoint.flags], env=environment(), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_server_its_model_and_a_picture_are_fit_for_a_run(endpoint: Endpoint) -> None:
    said = examine(endpoint)

    assert endpoint.model in said
    assert "pictures     taken" in said


def test_vllm_is_found_to_obey_structured_outputs(endpoint: Endpoint) -> None:
    """The field since 0.12; the probe believes it only when the answer shows it."""
    if endpoint.owner != "vllm":
        pytest.skip(f"{endpoint.base_url} is no vLLM")

    assert "structured_outputs is obeyed" in examine(endpoint)
