"""Reading of a server's log, with lines as vLLM 0.32 writes them, and the messages that quote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.vllm_server.logs import (
    describe_exit,
    exit_error,
    find_activity,
    find_cause,
    format_progress,
    has_port_conflict,
    last_lines,
    make_progress_printer,
    no_free_port_error,
    port_in_use_error,
    startup_timeout_error,
    stopped_error,
)
from tests.support.cases import each_case

ENGINE = """\
(APIServer pid=7279) INFO 11-24 23:10:27 [api_server.py:42] Starting to load model
(EngineCore pid=7303) ERROR 11-24 23:10:31 [core.py:1100] EngineCore failed to start.
(EngineCore pid=7303) ERROR 11-24 23:10:31 [core.py:1100] Traceback (most recent call last):
(EngineCore pid=7303) ERROR 11-24 23:10:31 [core.py:1100]   File "core.py", line 5, in run
(EngineCore pid=7303) ERROR 11-24 23:10:31 [core.py:1100] ValueError: No available memory for the cache blocks.
(APIServer pid=7279) Traceback (most recent call last):
(APIServer pid=7279) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""

PYDANTIC = """\
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (9) is greater.
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""

LOG = "INFO 11-24 10:00:00 [a.py:1] Loading weights\nValueError: No available memory.\n"
LOG_PATH = Path("/tmp/server.log")


@each_case(
    ("log", "cause"),
    [
        pytest.param(ENGINE, "ValueError: No available memory for the cache blocks.", id="of the engine's process"),
        pytest.param("usage: vllm serve\nvllm serve: error: unrecognized arguments: --x\n", "--x", id="usage"),
        pytest.param(PYDANTIC, "User-specified max_model_len (9) is greater.", id="an invalid setting"),
        pytest.param("a.b.GatedRepoError: 401 Client Error.", "401 Client Error.", id="an error of a package"),
        pytest.param("RuntimeError: Engine core initialization failed.", "Engine core", id="a secondary error alone"),
        pytest.param("INFO 11-24 10:00:00 [a.py:1] No error: all is well\n", None, id="no error"),
        pytest.param("", None, id="empty"),
    ],
)
def test_the_cause_is_the_last_primary_error(log: str, cause: str | None) -> None:
    found = find_cause(log)
    assert found is None if cause is None else cause in str(found)


def test_a_long_cause_is_shortened() -> None:
    assert len(find_cause("ValueError: " + "x" * 1000) or "") == 300


def test_last_lines_are_as_on_a_terminal() -> None:
    log = "one\n\n\x1b[36mtwo\x1b[0m\nLoading:   0%\rLoading: 100%\r\nthree  \n\n"
    assert last_lines(log) == ["one", "two", "Loading: 100%", "three"]
    assert last_lines(log, 1) == ["three"]


def test_exit_noise_of_libraries_is_left_out() -> None:
    log = 'the end\nnanobind: leaked 3 types!\n - leaked type "MATRIX"\n - ... skipped remainder\n'
    assert last_lines(log) == ["the end"]


@pytest.mark.parametrize(
    ("log", "activity"),
    [
        ("(APIServer pid=1) INFO 11-24 10:00:00 [loader.py:1] Loading weights\n", "Loading weights"),
        ("(EngineCore_DP0 pid=1) Loading safetensors: 50%\n", "Loading safetensors: 50%"),
        ("plain\n", "plain"),
        ("\n", None),
    ],
)
def test_the_activity_is_the_newest_line_without_its_prefixes(log: str, activity: str | None) -> None:
    assert find_activity(log) == activity


def test_a_long_activity_is_shortened() -> None:
    assert len(find_activity("x" * 500) or "") == 90


@pytest.mark.parametrize(
    ("log", "conflict"),
    [
        ("OSError: [Errno 98] Address already in use", True),
        ("[Errno 48] error while attempting to bind on address ('127.0.0.1', 1): address already in use", True),
        ("OSError: [Errno 28] No space left on device", False),
    ],
)
def test_a_port_conflict_is_recognised(log: str, conflict: bool) -> None:
    assert has_port_conflict(log) is conflict


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(3, "exit code 3"), (0, "exit code 0"), (-15, "SIGTERM"), (-9, "SIGKILL (by another"), (-200, "signal 200")],
)
def test_an_exit_code_is_described(exit_code: int, words: str) -> None:
    assert words in describe_exit(exit_code)


@pytest.mark.parametrize(
    ("ready", "code", "when"), [(False, "server_failed", "before it was ready"), (True, "server_died", "in use")]
)
def test_an_exit_is_reported_with_its_cause_and_its_log(ready: bool, code: str, when: str) -> None:
    error = exit_error("a/model", 1, LOG, LOG_PATH, ready=ready)
    assert error.code == code
    assert error.message.startswith("vllm serve a/model ")
    assert all(fact in error.message for fact in ("code 1", when, "ValueError: No available memory", str(LOG_PATH)))
    assert len(error.log) == 2


@pytest.mark.parametrize(("log", "state"), [("Loading weights\n", "Loading weights"), ("", "its log is empty")])
def test_a_startup_timeout_is_reported_with_the_last_line_and_the_setting(log: str, state: str) -> None:
    error = startup_timeout_error("a/model", 90, log, LOG_PATH)
    assert error.code == "server_slow"
    assert all(fact in error.message for fact in ("a/model", "90 s", "--serve-timeout", "startup_timeout", state))


def test_other_errors_name_the_port_or_the_model() -> None:
    assert "Port 8000 is in use" in str(port_in_use_error(8000))
    assert "3 free ports" in no_free_port_error(3).message
    assert stopped_error("a/model").message.startswith("vllm serve a/model was stopped")


def test_progress_has_the_seconds_and_the_activity() -> None:
    line = format_progress("a/model", 2.4, "INFO 11-24 10:00:00 [a.py:1] Loading weights\n")
    assert line == "Waiting for vllm serve a/model to be ready, 2 s (Loading weights)"
    assert format_progress("a/model", 2.6, "") == "Waiting for vllm serve a/model to be ready, 3 s"


def test_one_line_in_ten_seconds_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = 0.0
    print_progress = make_progress_printer(lambda: seconds)
    for seconds in (100.0, 101.0, 109.9, 110.0, 115.0, 125.0):
        print_progress(f"{seconds:g}")
    assert capsys.readouterr().err.split() == ["100", "110", "125"]
