"""Settings of a simulator."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.settings import SimSettings, parse_faults, parse_slot_changes
from tests.support.cases import each_case


@each_case(
    ("values", "words"),
    [
        pytest.param({"slots": 0}, "slots is 0", id="no slots"),
        pytest.param({"slots_at": {60: 0}}, "slots_at is 0", id="no slots later"),
        pytest.param({"slots_at": {-1: 4}}, "slots_at is -1", id="slots before the start"),
        pytest.param({"latency": -1}, "latency is -1", id="negative latency"),
        pytest.param({"latency": float("nan")}, "latency is nan", id="latency not a number"),
        pytest.param({"jitter": 1.5}, "jitter", id="jitter over one"),
        pytest.param({"link_mbps": 0}, "link_mbps", id="dead link"),
        pytest.param({"max_queued": -1}, "max_queued", id="negative queue"),
        pytest.param({"models": ()}, "--model NAME", id="no model"),
        pytest.param({"shape": "other"}, "vllm or hosted", id="unknown shape"),
        pytest.param({"faults": {"sunspots": 0.1}}, "no fault 'sunspots'", id="unknown fault"),
        pytest.param({"faults": {"503": 1.5}}, "between 0 and 1", id="rate over one"),
        pytest.param({"faults": {"503": 0.7, "429": 0.7}}, "add up to 1.4", id="rates over one"),
        pytest.param({"script": ["ok", "sunspots"]}, "no fault 'sunspots'", id="unknown fault in the script"),
    ],
)
def test_a_value_out_of_range_is_reported_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        SimSettings(**values)


def test_faults_are_parsed() -> None:
    assert parse_faults(["503=0.05", "no_tag=.5"]) == {"503": 0.05, "no_tag": 0.5}


@pytest.mark.parametrize("text", ["503", "503=", "503=often"])
def test_a_fault_without_a_rate_is_reported(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--fault {text} should look like"):
        parse_faults([text])


def test_slot_changes_are_parsed() -> None:
    assert parse_slot_changes(["60=64", "120.5=16"]) == {60.0: 64, 120.5: 16}


@pytest.mark.parametrize("text", ["60", "60=", "60=many", "soon=4"])
def test_a_slot_change_without_both_numbers_is_reported(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--slots-at {text} should look like"):
        parse_slot_changes([text])


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(SimSettings(api_key="secret"))
