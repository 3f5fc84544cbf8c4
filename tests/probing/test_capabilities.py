"""What a run concludes from the capabilities of its servers."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest

from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import (
    ServerCapabilities,
    StrategyChoice,
    VisionCheck,
    explain_unusable_vision,
    list_warnings,
    require_model,
    resolve_strategy,
)
from persqa_client.probing.probe import resolve_common_strategy, shortest_context, with_url
from tests.support.cases import each_case

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


@each_case(
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
    [
        None,
        VisionCheck("seen", "Red", 66),
        VisionCheck("not shown", "a hat", 66),
        VisionCheck("no difference", "a hat", 66),
        VisionCheck("failed", "500"),
    ],
)
def test_a_model_that_may_see_images_is_usable(vision: VisionCheck | None) -> None:
    assert explain_unusable_vision(ServerCapabilities(vision=vision)) is None


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        pytest.param(VisionCheck("refused", "At most 0 image(s)."), "At most 0 image(s)", id="rejected"),
        pytest.param(VisionCheck("ignored", "What picture?", 0), "does not show them", id="ignored"),
        pytest.param(VisionCheck("read as text", "A code.", 1136), "as base64 text", id="read as text"),
    ],
)
def test_a_model_that_cannot_see_images_is_explained(vision: VisionCheck, reason: str) -> None:
    problem = explain_unusable_vision(ServerCapabilities(vision=vision)) or ""
    assert reason in problem
    assert "--no-probes" in problem


def test_capabilities_are_written_to_the_run_file() -> None:
    server = ServerCapabilities(
        tuple(f"model-{number}" for number in range(50)),
        constraints={"json_schema": "obeyed"},
        vision=VisionCheck("seen", "Red", 66),
        root="/models/qwen",
    )
    data = json.loads(json.dumps(server.to_json()))
    assert len(data["models"]) == 20
    assert data["constraints"] == {"json_schema": "obeyed"}
    assert data.keys().isdisjoint({"root", "parent", "image_pair"})
    assert data["sight"] == {"state": "seen", "words": "Red", "tokens": 66}


OLD_CONSTRAINT = ServerCapabilities(constraint="guided_regex", max_model_len=8192)
NO_CONSTRAINT = ServerCapabilities(max_model_len=4096)


@each_case(
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


def served_from(root: str | None = None, **more: Any) -> ServerCapabilities:
    return ServerCapabilities(("qwen",), "vllm", root=root, **more)


SEEN = VisionCheck("seen", "Red", 402)
URLS = ("http://a/v1", "http://b/v1")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        pytest.param(ServerCapabilities(vision=VisionCheck("not shown", "a / b")), "'a / b'", id="weak"),
        pytest.param(ServerCapabilities(vision=VisionCheck("no difference", "Hm.")), "same answer ('Hm.')", id="same"),
        pytest.param(ServerCapabilities(vision=VisionCheck("failed", "Broken.")), "failed: Broken.", id="failed"),
        pytest.param(ServerCapabilities(vision=SEEN, image_pair=False), "Of two images", id="one of two"),
    ],
)
def test_what_could_not_be_shown_is_warned_about(server: ServerCapabilities, words: str) -> None:
    assert explain_unusable_vision(server) is None
    [warning] = list_warnings([server], URLS[:1])
    assert words in warning
    assert URLS[0] not in warning
    fine = ServerCapabilities(vision=SEEN)
    assert list_warnings([fine, server], URLS) == [f"{URLS[1]}: {warning}"]


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(ServerCapabilities(), id="not tested"),
        pytest.param(ServerCapabilities(vision=SEEN, image_pair=True), id="seen"),
        pytest.param(
            ServerCapabilities(vision=VisionCheck("not shown", "x"), image_pair=False),
            id="one warning",
        ),
    ],
)
def test_there_is_at_most_one_warning_about_images(server: ServerCapabilities) -> None:
    assert len(list_warnings([server], URLS[:1])) == (server.vision is not None and server.vision.state != "seen")


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        pytest.param(served_from("/a"), served_from("/b"), "root '/b' instead of '/a'", id="root"),
        pytest.param(
            served_from(parent="base"), served_from(parent="other"), "parent 'other' instead of 'base'", id="adapter"
        ),
        pytest.param(
            served_from(version="0.11.0", max_model_len=4096),
            served_from(version="0.12.0", max_model_len=8192),
            "version '0.12.0' instead of '0.11.0', max_model_len 8192 instead of 4096",
            id="version and context",
        ),
        pytest.param(served_from("/a"), served_from("/a"), None, id="the same"),
        pytest.param(served_from("/a", max_model_len=4096), served_from(), None, id="not reported"),
    ],
)
def test_endpoints_that_may_have_different_weights_are_warned_about(
    first: ServerCapabilities, second: ServerCapabilities, words: str | None
) -> None:
    warnings = list_warnings([first, second], URLS)
    assert len(warnings) == (words is not None)
    assert all(str(words) in warning and all(url in warning for url in URLS) for warning in warnings)
