"""Servers that see images, though their counts or answers look as if they did not; and servers that drop them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from persqa_client.probing.capabilities import (
    ServerCapabilities,
    VisionCheck,
    explain_doubtful_vision,
    explain_unusable_vision,
)
from persqa_client.probing.probe import probe_server
from persqa_client.simulator.vision import read_facts
from tests.probing.test_probe_features import make_local_session
from tests.run.chat_servers import Call
from tests.support.endpoints import serve_handler

Json = dict[str, Any]


@dataclass
class Model:
    """Names colours with ``say``, from the colour of the image or None without one. ``grown``: tokens of an image."""

    say: Callable[[str | None], str]
    grown: int = 400
    has_usage: bool = True
    thoughts: int = 0  # tokens of reasoning before the answer
    cached: bool = False  # by a gateway that replays the answers to equal requests
    fails: Callable[[int], bool] = lambda number: False  # by the number of the question with an image
    images: int = 0
    max_tokens: list[int] = field(default_factory=list)
    cache: dict[bytes, Json] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        body, data = await request.json(), await request.read()
        images = Call(body, 0, 0.0).images
        if images:
            self.images += 1
            self.max_tokens.append(body["max_tokens"])
            if self.fails(self.images):
                return web.json_response({"error": {"message": "Out of memory."}}, status=500)
        reply = self.reply(body, images)
        return web.json_response(self.cache.setdefault(data, reply) if self.cached else reply)

    def reply(self, body: Json, images: list[bytes]) -> Json:
        text = self.say(read_facts(images[0]).main_colours[0] if images else None)
        cut = self.thoughts >= body["max_tokens"]
        message: Json = {"content": None if cut else text}
        if self.thoughts:
            message["reasoning_content"] = "Hm. " * self.thoughts
        usage = {"prompt_tokens": 20 + self.grown * len(images), "completion_tokens": 1}
        choice = {"message": message, "finish_reason": "length" if cut else "stop"}
        return {"choices": [choice]} | ({"usage": usage} if self.has_usage else {})


async def probe(model: Model) -> tuple[ServerCapabilities, VisionCheck]:
    async with serve_handler(model.handle) as url, make_local_session(f"{url}/v1", "m") as session:
        found = await probe_server(session, strategy="direct")
    assert found.vision is not None
    return found, found.vision


class OneOfTwo:
    """Names the first colour that it is shown, and calls all others grey."""

    def __init__(self) -> None:
        self.known: str | None = None

    def __call__(self, colour: str | None) -> str:
        self.known = self.known or colour
        return "Hello." if colour is None else colour if colour == self.known else "Grey"


def describe(colour: str | None) -> str:
    """Names no colour, but another text for each."""
    return "Hello." if colour is None else f"A scene of {len(colour)} things, {colour[::-1]}."


def guesses() -> Iterator[str]:
    return itertools.cycle(("White", "Grey", "Orange", "Pink", "Brown"))


@pytest.mark.parametrize("grown", [0, 1, 32])
async def test_one_of_two_colours_is_seen_by_a_model_with_few_tokens_for_an_image(grown: int) -> None:
    """Some models have one token for each image, others 32; and some gateways do not count images."""
    model = Model(OneOfTwo(), grown)
    found, vision = await probe(model)
    assert vision.state == "seen"
    assert explain_unusable_vision(found) is None
    assert model.images == 4, "each image is shown again"
    assert model.max_tokens == [256, 256, 255, 255], "no cache answers"


@pytest.mark.parametrize("grown", [0, 32])
async def test_a_model_that_names_no_colour_is_doubtful_if_its_answers_follow_the_images(grown: int) -> None:
    found, vision = await probe(Model(describe, grown))
    assert vision.state == "not shown"
    assert explain_doubtful_vision(found) is not None


@pytest.mark.parametrize("cached", [False, True])
async def test_guesses_on_a_server_that_drops_images_stop_the_run(cached: bool) -> None:
    words = guesses()
    found, vision = await probe(Model(lambda _: next(words), 0, cached=cached))
    assert vision.state == "ignored"
    assert explain_unusable_vision(found) is not None


async def test_a_server_that_drops_images_is_asked_no_more_than_twice() -> None:
    model = Model(lambda _: "I see no image.", 0)
    assert (await probe(model))[1].state == "ignored"
    assert model.images == 2


@pytest.mark.parametrize(
    ("say", "state"),
    [
        pytest.param(lambda colour: colour or "Hello.", "seen", id="a good model"),
        pytest.param(OneOfTwo(), "seen", id="one of two"),
        pytest.param(describe, "not shown", id="no colour"),
        pytest.param(lambda _: "White", "no difference", id="always the same"),
    ],
)
@pytest.mark.parametrize(
    "server",
    [
        pytest.param({"has_usage": False}, id="no usage"),
        pytest.param({"cached": True}, id="a cache"),
    ],
)
async def test_without_usage_and_behind_a_cache_no_run_stops(
    say: Callable[[str | None], str], state: str, server: dict[str, Any]
) -> None:
    found, vision = await probe(Model(OneOfTwo() if isinstance(say, OneOfTwo) else say, **server))
    assert vision.state == state
    assert explain_unusable_vision(found) is None


@pytest.mark.parametrize("grown", [0, 400])
@pytest.mark.parametrize(
    ("thoughts", "state"), [(200, "seen"), (600, "seen"), (5_000, "not shown")], ids=["few", "many", "too many"]
)
async def test_reasoning_leaves_room_for_the_colour(grown: int, thoughts: int, state: str) -> None:
    model = Model(lambda colour: colour or "Hello.", grown, thoughts=thoughts)
    found, vision = await probe(model)
    assert vision.state == state
    assert explain_unusable_vision(found) is None
    assert set(model.max_tokens) == ({256} if thoughts < 256 else {256, 1024})


@pytest.mark.parametrize("colour_first", [True, False])
async def test_a_failed_second_question_proves_no_dropped_image(colour_first: bool) -> None:
    model = Model(lambda colour: (colour if colour_first else None) or "Hello.", 1, fails=lambda number: number > 1)
    found, vision = await probe(model)
    assert (vision.state, vision.text) == ("failed", "Out of memory.")
    assert explain_unusable_vision(found) is None


@pytest.mark.parametrize("answered", [2, 3])
async def test_a_failed_repetition_proves_no_dropped_image(answered: int) -> None:
    found, vision = await probe(Model(OneOfTwo(), 1, fails=lambda number: number > answered))
    assert (vision.state, vision.text) == ("failed", "Out of memory.")
    assert explain_unusable_vision(found) is None
