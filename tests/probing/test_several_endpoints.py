"""What several servers have in common, and how the unfit one is named: the pure parts; the rest is in whole runs."""

from __future__ import annotations

import pytest

from persqa_client.errors import RunStopped
from persqa_client.probing.capabilities import ServerCapabilities, StrategyChoice
from persqa_client.probing.probe import by_name, resolve_common_strategy, shortest_context

HELD = ServerCapabilities(constraint="structured_outputs", prefill="partial", max_model_len=8192)
OLD = ServerCapabilities(constraint="guided_regex")
FREE = ServerCapabilities(max_model_len=4096)


@pytest.mark.parametrize(
    ("servers", "wanted", "strategy"),
    [
        pytest.param([HELD], "auto", "constrain", id="one that obeys"),
        pytest.param([HELD, OLD], "auto", "constrain", id="all obey, each in its own form"),
        pytest.param([HELD, FREE], "auto", "direct", id="one does not"),
        pytest.param([FREE, FREE], "auto", "direct", id="none does"),
        pytest.param([HELD, FREE], "surrogate", "surrogate", id="what needs no obedience"),
        pytest.param([HELD, HELD], "prefill", "prefill", id="what all can"),
    ],
)
def test_a_run_has_one_strategy_that_suits_all_servers(
    servers: list[ServerCapabilities], wanted: StrategyChoice, strategy: str
) -> None:
    assert resolve_common_strategy(servers, wanted) == strategy


def test_what_is_wanted_and_one_can_not_do_is_refused() -> None:
    with pytest.raises(RunStopped) as caught:
        resolve_common_strategy([HELD, FREE], "constrain")
    assert caught.value.code == "no_constraint"


def test_an_answer_has_the_room_of_the_shortest_context_that_is_known() -> None:
    assert shortest_context([HELD, FREE, OLD]) == 4096
    assert shortest_context([OLD]) is None


def test_a_stop_is_told_with_the_endpoint_once() -> None:
    url = "http://gpu2:8000/v1"
    assert by_name(RunStopped("wrong_key", "Refused."), url).message == f"{url}: Refused."
    assert by_name(RunStopped("x", f"Nothing listens at {url}."), url).message == f"Nothing listens at {url}."
