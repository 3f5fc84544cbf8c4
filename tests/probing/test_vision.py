"""Whether a server sees: the colours, what an answer calls them, and what is believed."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable

import httpx
import pytest
import respx
from PIL import Image

from persqa_client.probing.capabilities import VisionCheck
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.probing.vision import COLOURS, check_vision, detect_patch_size, find_named_colour, make_colour_image
from tests.support.endpoints import CHAT_URL, error_response, make_session


@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_is_filled_with_its_colour(colour: str) -> None:
    picture = make_colour_image(colour, 40)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.getcolors() == [(1600, COLOURS[colour][0])]
        assert image.get_format_mimetype() == picture.media_type
        assert image.size == (picture.width, picture.height) == (40, 40)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("Red", "red"),
        ("**Blue.**", "blue"),
        ("The picture is filled with violet.", "purple"),
        ("<think>Is it red or blue?</think>\nGreen", "green"),
        ("红色", "red"),
        ("这张图片是黄色的。", "yellow"),
        ("hundred", None),
        ("Red or blue.", None),
        ("I can't see any picture.", None),
        ("", None),
        ("A red jacket over a shirt, a tall window, a wooden table, a silver camera and a coat, all in light", None),
    ],
)
def test_an_answer_names_one_colour_or_none(text: str, colour: str | None) -> None:
    assert find_named_colour(text) == colour


def model(text: str, *, plain: int = 20, grown: int = 402) -> Callable[[httpx.Request], httpx.Response]:
    """A server that says this whatever it is shown; its prompt grows by so many tokens with a picture."""

    def answer(request: httpx.Request) -> httpx.Response:
        pictured = isinstance(json.loads(request.content)["messages"][1]["content"], list)
        usage = {"prompt_tokens": plain + grown * pictured, "completion_tokens": 1} if plain else None
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}], "usage": usage})

    return answer


async def seen(
    answer: Callable[[httpx.Request], httpx.Response], respx_mock: respx.MockRouter
) -> tuple[VisionCheck, int]:
    route = respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=1) as session:
        sight, seconds = await check_vision(ProbeSession.of(session), random.Random(7))
    assert seconds > 0
    return sight, route.call_count


FIRST = random.Random(7).sample(sorted(COLOURS), 2)[0]
OTHER = next(colour for colour in COLOURS if colour != FIRST)


async def test_a_colour_named_by_a_prompt_that_grew_is_believed(respx_mock: respx.MockRouter) -> None:
    assert await seen(model(FIRST), respx_mock) == (VisionCheck("seen", FIRST, 402), 2)


async def test_another_colour_is_no_proof_of_blindness(respx_mock: respx.MockRouter) -> None:
    assert await seen(model(OTHER), respx_mock) == (VisionCheck("not shown", OTHER, 402), 2)


async def test_a_guess_without_a_longer_prompt_must_come_true_twice(respx_mock: respx.MockRouter) -> None:
    assert await seen(model(FIRST, grown=1), respx_mock) == (VisionCheck("ignored", FIRST, 1), 3)


async def test_a_prompt_that_did_not_grow_shows_a_picture_that_was_dropped(respx_mock: respx.MockRouter) -> None:
    assert await seen(model("What picture?", grown=0), respx_mock) == (VisionCheck("ignored", "What picture?", 0), 2)


@pytest.mark.parametrize(("text", "state"), [(FIRST, "seen"), (OTHER, "not shown")])
async def test_a_server_without_usage_is_judged_by_its_answer(
    respx_mock: respx.MockRouter, text: str, state: str
) -> None:
    sight, _ = await seen(model(text, plain=0), respx_mock)
    assert (sight.state, sight.tokens) == (state, None)


@pytest.mark.parametrize(
    ("status", "words", "state"),
    [
        pytest.param(400, "At most 0 image(s) may be provided in one prompt.", "refused", id="vLLM"),
        pytest.param(400, "This model is not a multimodal model.", "refused", id="vLLM, a text model"),
        pytest.param(500, "image input is not supported", "refused", id="llama.cpp"),
        pytest.param(413, "Payload too large", "refused", id="a proxy"),
        pytest.param(500, "Internal server error", "failed", id="a failure that says nothing of pictures"),
    ],
)
async def test_a_picture_that_is_refused(respx_mock: respx.MockRouter, status: int, words: str, state: str) -> None:
    say = model("Hello.")

    def answer(request: httpx.Request) -> httpx.Response:
        return error_response(status, words) if b"base64" in request.content else say(request)

    sight, _ = await seen(answer, respx_mock)
    assert (sight.state, sight.text) == (state, words)


async def test_what_refuses_any_question_does_not_refuse_pictures(respx_mock: respx.MockRouter) -> None:
    words = "Could not finish the message because max_tokens was reached."
    sight, _ = await seen(lambda _: error_response(400, words), respx_mock)
    assert sight == VisionCheck("failed", words)


@pytest.mark.parametrize(
    ("tokens", "patch"), [(402, 28), (326, 32), (400, None), (258, None), (765, None), (0, None), (None, None)]
)
def test_the_rule_is_known_by_the_tokens_of_the_picture(tokens: int | None, patch: int | None) -> None:
    assert detect_patch_size(VisionCheck("seen", "red", tokens)) == patch
