"""Errors by the names of arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client import RunStopped, SettingsError
from persqa_client.dataflow import LocalModelVLMServing_vllm, OpenAIVLMServing, PersQAGenerator
from persqa_client.dataflow.base import errors_name_arguments, replace_flags
from persqa_client.errors import ServerFailed
from tests.dataflow.conftest import storage_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--base-url: must look like http://HOST:PORT/v1.", "api_url: must look like http://HOST:PORT/v1."),
        ("No answer within 5 s (--timeout).", "No answer within 5 s (timeout)."),
        ("choose another -o, or start again with --fresh", "choose another cache_path, or start again with fresh=True"),
        ("vllm serve --model-impl takes --max-model-len", "vllm serve --model-impl takes --max-model-len"),
        ("a-o --temperature", "a-o vllm_temperature"),
    ],
)
def test_flags_are_named_as_arguments_and_words_of_others_stay(text: str, expected: str) -> None:
    assert replace_flags(text, temperature="vllm_temperature") == expected


def test_errors_keep_what_they_are_and_what_they_came_from() -> None:
    with pytest.raises(RunStopped, match="check api_url") as caught, errors_name_arguments():
        raise RunStopped("wrong_url", "check --base-url") from OSError("it")
    assert caught.value.code == "wrong_url"
    assert isinstance(caught.value.__cause__, OSError)
    failed = ServerFailed("died", "It ended.", ["--fresh"])
    with pytest.raises(ServerFailed) as same, errors_name_arguments():
        raise failed
    assert same.value is failed


def test_whoever_gives_an_argument_that_can_not_be_reads_its_name(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"^api_url: must look like"):
        OpenAIVLMServing("localhost:8000")
    with pytest.raises(SettingsError, match=r"^key_name_of_api_key names MY_KEY, but"):
        OpenAIVLMServing("http://127.0.0.1:9/v1", "MY_KEY")
    with pytest.raises(SettingsError, match=r"^max_workers: must be auto, or a number"):
        OpenAIVLMServing("http://127.0.0.1:9/v1", max_workers=0)
    with pytest.raises(SettingsError, match=r"^vllm_temperature: "):
        LocalModelVLMServing_vllm("a/model", vllm_temperature=9)
    nowhere = OpenAIVLMServing("http://127.0.0.1:9/v1")
    with pytest.raises(SettingsError, match=r"^tag: "):
        PersQAGenerator(nowhere, tag="a b").run(storage_of([{"image": "red.png"}]))
    with pytest.raises(RunStopped, match="or correct api_url"):
        PersQAGenerator(nowhere).run(storage_of([{"image": "red.png"}]))
    with pytest.raises(RunStopped, match="or correct api_url"):
        nowhere.generate_from_input(["red.png"], "?")
