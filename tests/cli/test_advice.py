"""The command that ``persqa doctor`` suggests."""

from __future__ import annotations

import shlex
from itertools import pairwise

import pytest
from pydantic import SecretStr

from persqa_client.cli.doctor import count_fitting_images, max_pixels_that_fit, suggest_command
from persqa_client.config import DEFAULT_MAX_PIXELS, Endpoint
from persqa_client.probing.capabilities import ServerCapabilities
from tests.support.cases import each_case

ENDPOINT = Endpoint(base_url="http://127.0.0.1:8000/v1", model="Qwen/Qwen2.5-VL-3B-Instruct")
BEGINNING = "persqa run photos/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-3B-Instruct"


@each_case(
    ("server", "flags"),
    [
        pytest.param(
            ServerCapabilities(constraint="json_schema", prefill="partial"), " --strategy constrain", id="held"
        ),
        pytest.param(ServerCapabilities(prefill="partial"), " --strategy prefill", id="begun"),
        pytest.param(ServerCapabilities(), " --strategy direct", id="asked"),
        pytest.param(ServerCapabilities(max_model_len=8192), " --strategy direct", id="room enough"),
        pytest.param(
            ServerCapabilities(max_model_len=2048, picture_patch=28),
            " --strategy direct --max-pixels 489216",
            id="little room",
        ),
        pytest.param(
            ServerCapabilities(max_model_len=2048, picture_patch=32),
            " --strategy direct --max-pixels 638976",
            id="larger patches",
        ),
        pytest.param(ServerCapabilities(max_model_len=1024), " --strategy direct", id="no room that could be used"),
    ],
)
def test_the_flags_follow_from_the_findings(server: ServerCapabilities, flags: str) -> None:
    assert suggest_command(server, ENDPOINT, {}) == BEGINNING + flags


def test_the_key_is_given_by_its_variable_and_names_are_quoted() -> None:
    endpoint = Endpoint(base_url="http://h/v1", model="my model", api_key=SecretStr("secret"))
    flags = {"api_key_env": ["MY_KEY"], "header": ["x-team=@TEAM", "x-user=@NAME"], "ca_cert": None}
    words = shlex.split(suggest_command(ServerCapabilities(), endpoint, flags))
    assert words[words.index("--model") + 1] == "my model"
    assert words[words.index("--api-key-env") + 1] == "MY_KEY"
    assert [value for flag, value in pairwise(words) if flag == "--header"] == ["x-team=@TEAM", "x-user=@NAME"]
    assert "secret" not in words


def test_the_suggested_size_leaves_room_for_the_text_an_answer_and_a_re_ask() -> None:
    server = ServerCapabilities(max_model_len=2704, picture_patch=28)
    assert max_pixels_that_fit(server) == DEFAULT_MAX_PIXELS
    assert count_fitting_images(server) == 1
    assert count_fitting_images(ServerCapabilities(max_model_len=2703)) == 0
    assert count_fitting_images(ServerCapabilities()) is None
