"""What a person is told while a server starts."""

from __future__ import annotations

import pytest

from persqa_client.vllm_server.logs import printer, waiting


def test_a_line_says_for_how_long_and_what_it_is_at() -> None:
    assert waiting("a/model", 2.4, "INFO 11-24 10:00:00 [a.py:1] Loading weights\n") == (
        "Waiting for vllm serve a/model to be ready, 2 s (Loading weights)"
    )
    assert waiting("a/model", 2.6, "") == "Waiting for vllm serve a/model to be ready, 3 s"


def test_one_line_in_ten_seconds_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = 0.0
    tell = printer(lambda: seconds)
    for seconds in (100.0, 101.0, 109.9, 110.0, 115.0, 125.0):
        tell(f"{seconds:g}")
    assert capsys.readouterr().err.split() == ["100", "110", "125"]
