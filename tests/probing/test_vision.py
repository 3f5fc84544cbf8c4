"""Whether a model sees images: the colour images, the answers, and what they prove."""

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
def test_an_image_is_filled_with_its_colour(colour: str) -> None:
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
def test_a_colour_is_found_in_an_answer(text: str, colour: str | None) -> None:
    assert find_named_colour(text) == colour


def answer_with(text: str, *, plain: int = 20, grown: int = 402) -> Callable[[httpx.Request], httpx.Response]:
    """A server that always gives this answer. An image adds ``grown`` tokens to its prompt of ``plain`` tokens."""

    def answer(request: httpx.Request) -> httpx.Response:
        pictured = isinstance(json.loads(request.content)["messages"][1]["content"], list)
        usage = {"prompt_tokens": plain + grown * pictured, "completion_tokens": 1} if plain else None
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}], "usage": usage})

    return answer


async def check(
    answer: Callable[[httpx.Request], httpx.Response], respx_mock: respx.MockRouter
) -> tuple[VisionCheck, int]:
    route = respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=1) as session:
        sight, seconds = await check_vision(ProbeSession.of(session), random.Random(7))
    assert seconds > 0
    return sight, route.call_count


FIRST = random.Random(7).sample(sorted(COLOURS), 2)[0]
OTHER = next(colour for colour in COLOURS if colour != FIRST)


async def test_the_right_colour_and_a_longer_prompt_mean_seen(respx_mock: respx.MockRouter) -> None:
    assert await check(answer_with(FIRST), respx_mock) == (VisionCheck("seen", FIRST, 402), 2)


async def test_a_wrong_colour_with_a_longer_prompt_is_not_shown(respx_mock: respx.MockRouter) -> None:
    assert await check(answer_with(OTHER), respx_mock) == (VisionCheck("not shown", OTHER, 402), 2)


async def test_the_right_colour_without_a_longer_prompt_must_be_repeated(respx_mock: respx.MockRouter) -> None:
    assert await check(answer_with(FIRST, grown=1), respx_mock) == (VisionCheck("ignored", FIRST, 1), 3)


async def test_a_prompt_of_the_same_length_means_ignored(respx_mock: respx.MockRouter) -> None:
    assert await check(answer_with("What picture?", grown=0), respx_mock) == (
        VisionCheck("ignored", "What picture?", 0),
        2,
    )


@pytest.mark.parametrize(("text", "state"), [(FIRST, "seen"), (OTHER, "not shown")])
async def test_without_usage_the_answer_decides(respx_mock: respx.MockRouter, text: str, state: str) -> None:
    sight, _ = await check(answer_with(text, plain=0), respx_mock)
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
async def test_a_rejected_image(respx_mock: respx.MockRouter, status: int, words: str, state: str) -> None:
    say = answer_with("Hello.")

    def answer(request: httpx.Request) -> httpx.Response:
        return error_response(status, words) if b"base64" in request.content else say(request)

    sight, _ = await check(answer, respx_mock)
    assert (sight.state, sight.text) == (state, words)


async def test_a_server_that_rejects_every_request_does_not_reject_images(respx_mock: respx.MockRouter) -> None:
    words = "Could not finish the message because max_tokens was reached."
    sight, _ = await check(lambda _: error_response(400, words), respx_mock)
    assert sight == VisionCheck("failed", words)


@pytest.mark.parametrize(
    ("tokens", "patch"), [(402, 28), (326, 32), (400, None), (258, None), (765, None), (0, None), (None, None)]
)
def test_the_patch_size_follows_from_the_image_tokens(tokens: int | None, patch: int | None) -> None:
    assert detect_patch_size(VisionCheck("seen", "red", tokens)) == patch
