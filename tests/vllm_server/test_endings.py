"""Why a server is not there, in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.vllm_server.logs import died, ended, outrun, stopped, taken, too_slow

LOG = Path("/tmp/server.log")
SAID = "INFO 11-24 10:00:00 [a.py:1] Loading weights\nValueError: No available memory.\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "ended with exit code 3"),
        (0, "ended with exit code 0"),
        (-15, "was ended by SIGTERM"),
        (-9, "was ended by SIGKILL (somebody killed it, or the system did for want of memory)"),
        (-200, "was ended by signal 200"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    assert ended(code) == words


@pytest.mark.parametrize(
    ("ready", "code", "when"), [(False, "server_failed", "before it was ready"), (True, "server_died", "while it was")]
)
def test_a_death_is_told_with_its_cause_and_its_log(ready: bool, code: str, when: str) -> None:
    failure = died("a/model", 1, SAID, LOG, ready=ready)
    assert failure.code == code
    assert f"vllm serve a/model ended with exit code 1 {when}" in failure.message
    assert failure.message.endswith(": ValueError: No available memory. Its whole log: /tmp/server.log.")
    assert len(failure.log) == 2


@pytest.mark.parametrize(
    ("said", "told"), [("Loading weights\n", "the last that it said was: Loading weights"), ("", "it said nothing")]
)
def test_one_that_is_too_slow_is_told_with_what_it_was_at_and_how_to_wait_longer(said: str, told: str) -> None:
    message = too_slow("a/model", 90, said, LOG).message
    assert message.startswith(
        f"vllm serve a/model was not ready within 90 s (--serve-timeout, startup_timeout); {told}."
    )


def test_the_others_say_what_to_do_or_what_was_done() -> None:
    assert "Port 8000 is taken by another program: choose another one" in str(taken(8000))
    assert outrun(3).message.startswith("3 free ports were taken by other programs")
    assert stopped("a/model").message.startswith("vllm serve a/model was stopped")
