"""What follows from what was found out about a server."""

from __future__ import annotations

import json

import pytest

from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import (
    ServerCapabilities,
    StrategyChoice,
    VisionCheck,
    explain_unknown_model,
    explain_unusable_vision,
    resolve_strategy,
)

BOTH = ServerCapabilities(constraint="json_schema", constraints={"json_schema": "obeyed"}, prefill="partial")
HELD = ServerCapabilities(constraint="guided_regex", constraints={"guided_regex": "obeyed"})
BEGUN = ServerCapabilities(constraints={"structured_outputs": "ignored", "json_schema": "refused"}, prefill="partial")
NEITHER = ServerCapabilities(constraints={"structured_outputs": "ignored"}, prefills={"partial": "ignored"})


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        pytest.param(
            ServerCapabilities(("a", "b"), version="0.32.0"), "it serves a, b. Check --model.", id="vLLM, another model"
        ),
        pytest.param(ServerCapabilities(("qwen",), "vllm", "0.32.0"), None, id="vLLM, this model"),
        pytest.param(ServerCapabilities(("a",)), None, id="a list that need not be complete"),
        pytest.param(ServerCapabilities((), version="0.32.0"), None, id="no list"),
    ],
)
def test_only_vllms_own_list_is_believed_to_be_complete(server: ServerCapabilities, sentence: str | None) -> None:
    said = explain_unknown_model(server, "qwen")
    assert said == sentence or (sentence and said and said.endswith(sentence))


@pytest.mark.parametrize(
    ("server", "wanted", "strategy"),
    [
        (BOTH, "auto", "constrain"),
        (HELD, "auto", "constrain"),
        (BEGUN, "auto", "direct"),
        (NEITHER, "auto", "direct"),
        (HELD, "constrain", "constrain"),
        (BEGUN, "prefill", "prefill"),
        (NEITHER, "direct", "direct"),
        (NEITHER, "surrogate", "surrogate"),
    ],
)
def test_a_strategy_that_the_server_bears_is_taken(
    server: ServerCapabilities, wanted: StrategyChoice, strategy: str
) -> None:
    assert resolve_strategy(server, wanted) == strategy


@pytest.mark.parametrize(
    ("server", "wanted", "code", "sentence"),
    [
        pytest.param(
            BEGUN,
            "constrain",
            "no_constraint",
            "--strategy constrain can't be: the server obeys none of structured_outputs, json_schema; "
            "use --strategy prefill instead.",
            id="no constraint, but a beginning",
        ),
        pytest.param(
            NEITHER,
            "constrain",
            "no_constraint",
            "--strategy constrain can't be: the server obeys none of structured_outputs; use --strategy direct "
            "instead.",
            id="no constraint, no beginning",
        ),
        pytest.param(
            HELD,
            "prefill",
            "no_prefill",
            "--strategy prefill can't be: the server goes on from no beginning of an answer (continue_final_message, "
            "partial); use --strategy constrain instead.",
            id="no beginning",
        ),
    ],
)
def test_a_strategy_that_it_does_not_stops_the_run(
    server: ServerCapabilities, wanted: StrategyChoice, code: str, sentence: str
) -> None:
    with pytest.raises(RunStopped) as caught:
        resolve_strategy(server, wanted)
    assert (caught.value.code, caught.value.message) == (code, sentence)


@pytest.mark.parametrize(
    "sight", [None, VisionCheck("seen", "Red", 66), VisionCheck("not shown", "a hat", 66), VisionCheck("failed", "500")]
)
def test_a_server_that_may_see_is_fit(sight: VisionCheck | None) -> None:
    assert explain_unusable_vision(ServerCapabilities(sight=sight)) is None


def test_a_server_without_eyes_is_not_and_the_reason_is_told() -> None:
    refusing = explain_unusable_vision(
        ServerCapabilities(sight=VisionCheck("refused", "At most 0 image(s) may be provided."))
    )
    assert refusing == (
        "The server refuses pictures: At most 0 image(s) may be provided. Choose a vision-language model."
    )
    ignoring = explain_unusable_vision(ServerCapabilities(sight=VisionCheck("ignored", "What picture?", 0)))
    assert ignoring is not None
    assert ignoring.startswith("The server takes pictures but never shows them to the model")


def test_all_that_was_found_can_be_written_into_a_file() -> None:
    server = ServerCapabilities(
        tuple(f"model-{number}" for number in range(50)),
        constraints={"json_schema": "obeyed"},
        sight=VisionCheck("seen", "Red", 66),
    )
    noted = json.loads(json.dumps(server.to_json()))
    assert len(noted["models"]) == 20
    assert noted["constraints"] == {"json_schema": "obeyed"}
    assert noted["sight"] == {"state": "seen", "words": "Red", "tokens": 66}
