"""What a run concludes from the capabilities of its servers."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import (
    ServerCapabilities,
    StrategyChoice,
    VisionCheck,
    explain_unusable_vision,
    require_model,
    resolve_strategy,
)
from persqa_client.probing.probe import resolve_common_strategy, shortest_context, with_url

BOTH = ServerCapabilities(constraint="json_schema", constraints={"json_schema": "obeyed"}, prefill="partial")
CONSTRAINT = ServerCapabilities(
    constraint="guided_regex", constraints={"guided_regex": "obeyed"}, prefills={"partial": "ignored"}
)
PREFILL = ServerCapabilities(constraints={"structured_outputs": "ignored", "json_schema": "refused"}, prefill="partial")
NEITHER = ServerCapabilities(constraints={"structured_outputs": "ignored"}, prefills={"partial": "ignored"})


@pytest.mark.parametrize(
    ("server", "stops"),
    [
        pytest.param(ServerCapabilities(("a", "b"), version="0.32.0"), True, id="vLLM, another model"),
        pytest.param(ServerCapabilities(("qwen",), "vllm", "0.32.0"), False, id="vLLM, this model"),
        pytest.param(ServerCapabilities(("a",)), False, id="a list that may be incomplete"),
        pytest.param(ServerCapabilities((), version="0.32.0"), False, id="no list"),
    ],
)
def test_only_the_model_list_of_vllm_is_taken_to_be_complete(server: ServerCapabilities, stops: bool) -> None:
    with pytest.raises(RunStopped, match="'qwen'; it serves a, b") if stops else nullcontext():
        require_model(server, "qwen")


@pytest.mark.parametrize(
    ("server", "choice", "strategy"),
    [
        (BOTH, "auto", "constrain"),
        (CONSTRAINT, "auto", "constrain"),
        (PREFILL, "auto", "direct"),
        (NEITHER, "auto", "direct"),
        (CONSTRAINT, "constrain", "constrain"),
        (PREFILL, "prefill", "prefill"),
        (NEITHER, "direct", "direct"),
        (NEITHER, "surrogate", "surrogate"),
    ],
)
def test_a_supported_strategy_is_used(server: ServerCapabilities, choice: StrategyChoice, strategy: str) -> None:
    assert resolve_strategy(server, choice) == strategy


@pytest.mark.parametrize(
    ("server", "choice", "code", "advice"),
    [
        pytest.param(PREFILL, "constrain", "no_constraint", "--strategy prefill", id="no constraint, but a prefill"),
        pytest.param(NEITHER, "constrain", "no_constraint", "--strategy direct", id="neither"),
        pytest.param(CONSTRAINT, "prefill", "no_prefill", "--strategy constrain", id="no prefill, but a constraint"),
    ],
)
def test_an_unsupported_strategy_stops_the_run_and_another_is_suggested(
    server: ServerCapabilities, choice: StrategyChoice, code: str, advice: str
) -> None:
    with pytest.raises(RunStopped) as caught:
        resolve_strategy(server, choice)
    assert caught.value.code == code
    assert advice in caught.value.message
    assert all(form in caught.value.message for form in server.constraints) or code == "no_prefill"


@pytest.mark.parametrize(
    "vision",
    [None, VisionCheck("seen", "Red", 66), VisionCheck("not shown", "a hat", 66), VisionCheck("failed", "500")],
)
def test_a_model_that_may_see_images_is_usable(vision: VisionCheck | None) -> None:
    assert explain_unusable_vision(ServerCapabilities(vision=vision)) is None


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        pytest.param(VisionCheck("refused", "At most 0 image(s)."), "At most 0 image(s)", id="rejected"),
        pytest.param(VisionCheck("ignored", "What picture?", 0), "does not show them", id="ignored"),
    ],
)
def test_a_model_that_cannot_see_images_is_explained(vision: VisionCheck, reason: str) -> None:
    assert reason in (explain_unusable_vision(ServerCapabilities(vision=vision)) or "")


def test_capabilities_are_written_to_the_run_file() -> None:
    server = ServerCapabilities(
        tuple(f"model-{number}" for number in range(50)),
        constraints={"json_schema": "obeyed"},
        vision=VisionCheck("seen", "Red", 66),
    )
    data = json.loads(json.dumps(server.to_json()))
    assert len(data["models"]) == 20
    assert data["constraints"] == {"json_schema": "obeyed"}
    assert data["sight"] == {"state": "seen", "words": "Red", "tokens": 66}


OLD_CONSTRAINT = ServerCapabilities(constraint="guided_regex", max_model_len=8192)
NO_CONSTRAINT = ServerCapabilities(max_model_len=4096)


@pytest.mark.parametrize(
    ("servers", "choice", "strategy"),
    [
        pytest.param([BOTH], "auto", "constrain", id="one server"),
        pytest.param([BOTH, OLD_CONSTRAINT], "auto", "constrain", id="all obey, each in its own form"),
        pytest.param([BOTH, NO_CONSTRAINT], "auto", "direct", id="one does not obey"),
        pytest.param([NO_CONSTRAINT, NO_CONSTRAINT], "auto", "direct", id="none obeys"),
        pytest.param([BOTH, NO_CONSTRAINT], "surrogate", "surrogate", id="no support needed"),
        pytest.param([BOTH, BOTH], "prefill", "prefill", id="all support it"),
    ],
)
def test_a_run_has_one_strategy_for_all_servers(
    servers: list[ServerCapabilities], choice: StrategyChoice, strategy: str
) -> None:
    assert resolve_common_strategy(servers, choice) == strategy


def test_a_strategy_that_one_server_does_not_support_stops_the_run() -> None:
    with pytest.raises(RunStopped) as caught:
        resolve_common_strategy([BOTH, NO_CONSTRAINT], "constrain")
    assert caught.value.code == "no_constraint"


def test_the_shortest_reported_context_counts() -> None:
    assert shortest_context([OLD_CONSTRAINT, NO_CONSTRAINT, BOTH]) == 4096
    assert shortest_context([BOTH]) is None


def test_a_stop_names_its_endpoint_once() -> None:
    url = "http://gpu2:8000/v1"
    assert with_url(RunStopped("wrong_key", "Rejected."), url).message == f"{url}: Rejected."
    assert with_url(RunStopped("x", f"Nothing listens at {url}."), url).message == f"Nothing listens at {url}."
