"""The servings, as DataFlow's operators call them, against the simulator."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from persqa_client import RowError, RunStopped, SettingsError
from persqa_client.dataflow import APIVLMServing_openai, OpenAIVLMServing
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.dataflow.conftest import MODEL
from tests.support.commands import python


def serving(server: Simulator, **arguments: object) -> OpenAIVLMServing:
    return OpenAIVLMServing(server.base_url, model_name=MODEL, **arguments)  # type: ignore[arg-type]


def test_texts_have_their_pictures_and_answers_their_order(folder: Path, simulator: Simulator) -> None:
    texts = ["What colour is it?"] * 3
    red, both, none = serving(simulator).generate_from_input(
        texts, "Be brief.", [["red.png"], ["green.png", "blue.png"], None]
    )
    assert red is not None
    assert "red" in red
    assert both is not None
    assert "blue and green" in both
    assert none is not None
    assert "no picture" in none


def test_conversations_of_both_layouts_are_answered(folder: Path, simulator: Simulator) -> None:
    conversations = [
        [{"from": "human", "value": "<image>What colour is <bo>?"}],
        [{"role": "user", "content": "What colour is <bo>?"}],
    ]
    answers = serving(simulator).generate_from_input_messages(conversations, [["red.png"], ["blue.png"]])
    assert [colour in str(answer) for colour, answer in zip(("red", "blue"), answers, strict=True)] == [True, True]
    assert all(str(answer).startswith("<bo>") for answer in answers)


def test_one_that_fails_is_none_with_its_reason_and_the_others_stand(folder: Path, simulator: Simulator) -> None:
    ours = serving(simulator)
    answers = ours.generate_from_input(["red.png", "gone.png", "blue.png"], "What colour is it?")
    assert [answer is None for answer in answers] == [False, True, False]
    assert {number: error.code for number, error in ours.failures.items()} == {1: "image_missing"}
    assert serving(simulator, placeholder="").generate_from_input(["gone.png"], "?") == [""]
    assert ours.generate_from_input(["red.png"], "?")
    assert ours.failures == {}


def test_one_picture_alone_is_answered_or_raises(folder: Path, simulator: Simulator) -> None:
    ours = serving(simulator)
    assert "red" in ours.chat_with_one_image("red.png", "What colour is it?")
    with pytest.raises(RowError) as caught:
        ours.chat_with_one_image("gone.png", "What colour is it?")
    assert caught.value.code == "image_missing"


def test_labels_are_in_the_prompt_and_a_schema_is_in_the_request(folder: Path, simulator: Simulator) -> None:
    ours = serving(simulator)
    (answer,) = ours.generate_from_input_multi_images([["red.png", "blue.png"]], [["left", "right"]], "s", ["Colours?"])
    assert "blue" in str(answer)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    (shaped,) = ours.generate_from_input_one_image(["red.png"], ["Colours?"], json_schema=schema)
    assert str(shaped).startswith("{")
    with pytest.raises(SettingsError, match="1 inputs but 0 texts"):
        ours.generate_from_input_one_image(["red.png"], [])


async def test_it_works_inside_a_running_loop(folder: Path, simulator: Simulator) -> None:
    assert asyncio.get_running_loop().is_running()
    assert "red" in serving(simulator).chat_with_one_image("red.png", "What colour is it?")


def test_refusals_are_waited_for_and_no_more_are_under_way_than_workers(folder: Path) -> None:
    with run_simulator(SimSettings(latency=0.02, script=["503", "429", "500", "ok"], retry_after=0.01)) as server:
        answers = serving(server, max_workers=3).generate_from_input(["red.png"] * 12, "What colour is it?")
        stats = server.stats()
    assert all(answers)
    assert stats["max_in_flight"] <= 3
    assert stats["answered"] == 12


def test_a_wrong_key_is_one_error_and_the_right_one_is_read_from_its_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_simulator(SimSettings(latency=0, api_key="secret")) as server:
        with pytest.raises(RunStopped) as caught:
            serving(server).generate_from_input(["red.png"], "?")
        assert caught.value.code == "wrong_key"
        monkeypatch.setenv("DF_API_KEY", "secret")
        assert serving(server).generate_from_input(["red.png"], "?")[0]
    with pytest.raises(SettingsError, match="MY_KEY"):
        OpenAIVLMServing(server.base_url, key_name_of_api_key="MY_KEY")


def test_what_was_answered_before_a_refusal_of_all_is_given(folder: Path) -> None:
    unpaid = SimSettings(latency=0, script=["ok", "ok"], faults={"payment": 1.0})
    with run_simulator(unpaid) as server:
        ours = serving(server, max_workers=1)
        answers = ours.generate_from_input(["red.png"] * 4, "What colour is it?")
    assert [answer is None for answer in answers] == [False, False, True, True]
    assert {number: error.code for number, error in ours.failures.items()} == dict.fromkeys((2, 3), "no_credit")


def test_videos_and_drawn_pictures_are_refused_before_anything_is_sent(folder: Path, simulator: Simulator) -> None:
    asked = simulator.stats()["requests"]
    with pytest.raises(SettingsError, match="video"):
        serving(simulator).generate_from_input(["?"], video_inputs=[["a.mp4"]])
    with pytest.raises(SettingsError, match="image_io"):
        APIVLMServing_openai(simulator.base_url, image_io=object())  # type: ignore[arg-type]
    assert simulator.stats()["requests"] == asked


def test_one_that_is_dropped_or_forgotten_leaves_no_connection(folder: Path, simulator: Simulator) -> None:
    ours = serving(simulator)
    assert ours.generate_from_input(["red.png"], "?")[0]
    ours.cleanup()
    assert ours.generate_from_input(["red.png"], "?")[0]
    del ours
    gc.collect()
    code = (
        "import warnings; warnings.simplefilter('always')\n"
        "from persqa_client.dataflow import OpenAIVLMServing\n"
        f"serving = OpenAIVLMServing({simulator.base_url!r}, model_name={MODEL!r})\n"
        "print(serving.chat_with_one_image('red.png', 'What colour is it?'))\n"
    )
    result = python(code)
    assert "red" in result.stdout
    assert (result.returncode, result.stderr) == (0, "")
