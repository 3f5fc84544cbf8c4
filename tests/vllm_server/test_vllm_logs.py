"""What is read out of a server's log, by lines as vLLM 0.32 writes them."""

from __future__ import annotations

import pytest

from persqa_client.vllm_server.logs import cause, doing, last_lines, port_was_taken

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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(ENGINE, "ValueError: No available memory for the cache blocks.", id="of the engine's process"),
        pytest.param("usage: vllm serve\nvllm serve: error: unrecognized arguments: --x\n", "--x", id="usage"),
        pytest.param(PYDANTIC, "User-specified max_model_len (9) is greater.", id="a setting that can't be"),
        pytest.param("a.b.GatedRepoError: 401 Client Error.", "401 Client Error.", id="an error of a package"),
        pytest.param(
            "RuntimeError: Engine core initialization failed.", "Engine core", id="hearsay where nothing else"
        ),
        pytest.param("INFO 11-24 10:00:00 [a.py:1] No error: all is well\n", None, id="not a complaint"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_cause_is_the_last_error_at_first_hand(text: str, told: str | None) -> None:
    found = cause(text)
    assert found is None if told is None else told in str(found)


def test_a_long_cause_is_cut() -> None:
    assert len(cause("ValueError: " + "x" * 1000) or "") == 300


def test_last_lines_are_as_on_a_terminal() -> None:
    text = "one\n\n\x1b[36mtwo\x1b[0m\nLoading:   0%\rLoading: 100%\r\nthree  \n\n"
    assert last_lines(text) == ["one", "two", "Loading: 100%", "three"]
    assert last_lines(text, 1) == ["three"]


def test_farewells_of_libraries_do_not_fill_the_last_lines() -> None:
    text = 'the end\nnanobind: leaked 3 types!\n - leaked type "MATRIX"\n - ... skipped remainder\n'
    assert last_lines(text) == ["the end"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("(APIServer pid=1) INFO 11-24 10:00:00 [loader.py:1] Loading weights\n", "Loading weights"),
        ("(EngineCore_DP0 pid=1) Loading safetensors: 50%\n", "Loading safetensors: 50%"),
        ("plain\n", "plain"),
        ("\n", None),
    ],
)
def test_what_it_is_at_is_its_newest_line_without_who_and_when(text: str, told: str | None) -> None:
    assert doing(text) == told


def test_what_it_is_at_fits_into_a_line() -> None:
    assert len(doing("x" * 500) or "") == 90


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("OSError: [Errno 98] Address already in use", True),
        ("[Errno 48] error while attempting to bind on address ('127.0.0.1', 1): address already in use", True),
        ("OSError: [Errno 28] No space left on device", False),
    ],
)
def test_a_taken_port_is_known_by_its_words(text: str, taken: bool) -> None:
    assert port_was_taken(text) is taken
