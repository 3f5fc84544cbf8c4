"""Whether a model sees images: the test images, the answers, and what they prove."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable

import httpx
import pytest
import respx
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.probing.capabilities import VisionCheck
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.probing.vision import (
    COLOURS,
    NOISE_ROWS,
    ColourAnswer,
    check_vision,
    detect_patch_size,
    find_named_colour,
    judge_vision,
    make_colour_image,
)
from persqa_client.simulator.vision import read_facts
from tests.support.cases import each_case
from tests.support.endpoints import CHAT_URL, error_response, make_session


@each_case("colour", COLOURS)
def test_an_image_is_filled_with_its_colour(colour: str) -> None:
    picture = make_colour_image(colour, 40)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.getcolors() == [(1600, COLOURS[colour][0])]
        assert image.get_format_mimetype() == picture.media_type
        assert image.size == (picture.width, picture.height) == (40, 40)


@each_case("colour", COLOURS)
def test_an_image_with_a_palette_shows_the_same(colour: str) -> None:
    plain, small = make_colour_image(colour), make_colour_image(colour, palette=True)
    with Image.open(io.BytesIO(small.data)) as image:
        assert image.convert("RGB").getcolors() == [(560 * 560, COLOURS[colour][0])]
    assert len(small.data) < len(plain.data) / 5


@each_case("colour", COLOURS)
def test_the_second_image_differs_in_its_bytes_only(colour: str) -> None:
    plain, noisy = make_colour_image(colour), make_colour_image(colour, noise_rows=NOISE_ROWS)
    assert (noisy.width, noisy.height) == (plain.width, plain.height)
    assert len(noisy.data) > 2 * len(plain.data)
    assert read_facts(noisy.data).main_colours == (colour,)


@each_case(
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


# Tokens of the prompt without an image, with the first and with the second: of a server that counts pixels, bytes (two
# characters a token), or neither; of one whose context the bytes fill; of one that reports no usage; of one that writes
# a sentence in place of the image.
PIXELS, BYTES, NOTHING, FULL, NO_USAGE = (20, 422, 422), (20, 1156, 3370), (20, 21, 21), (20, 4096, 4096), (0, 0, 0)
SENTENCE = (20, 48, 48)
TOO_LONG = RowError("context_overflow", "This model's maximum context length is 4096 tokens.")
BROKEN = RowError("http_500", "Server error (500) after 5 attempts.")


def second_answer(said: str | RowError, prompt: int) -> ColourAnswer:
    if isinstance(said, RowError):
        return ColourAnswer("blue", error=said)
    return ColourAnswer("blue", said, prompt, 6_700)


@each_case(
    ("first", "second", "tokens", "state"),
    [
        # Models that see.
        pytest.param("Red", "Blue", PIXELS, "seen", id="a good model"),
        pytest.param("Red.", "Indigo", PIXELS, "seen", id="one colour named, the other not"),
        pytest.param("Crimson", "Blue", PIXELS, "seen", id="only the second named"),
        pytest.param("Red", "Blue", NOTHING, "seen", id="both named, though a gateway counts no image"),
        pytest.param("Red", "Blue", NO_USAGE, "seen", id="no usage"),
        pytest.param("Red", BROKEN, PIXELS, "seen", id="the second not answered"),
        # Weak models: the image changes the answer, and it is counted by its pixels.
        pytest.param("ab cd", "ef gh", PIXELS, "not shown", id="random weights"),
        pytest.param("Blue", "Red", PIXELS, "not shown", id="wrong colours"),
        pytest.param("ab cd", "ef gh", NO_USAGE, "not shown", id="random weights, no usage"),
        pytest.param("ab cd", BROKEN, PIXELS, "not shown", id="random weights, the second not answered"),
        pytest.param("", "", PIXELS, "not shown", id="nothing said"),
        # Servers that leave the images out.
        pytest.param("No picture.", "No picture.", NOTHING, "ignored", id="dropped"),
        pytest.param("Blue", "Blue", NOTHING, "ignored", id="dropped, a guess that is right for the second"),
        pytest.param("Red", "Red", NOTHING, "ignored", id="dropped, a guess that is right for the first"),
        pytest.param("White", "Grey", NOTHING, "ignored", id="dropped, with a random guess"),
        pytest.param("No picture.", "No picture.", SENTENCE, "ignored", id="a sentence instead"),
        pytest.param("White", "White", PIXELS, "no difference", id="dropped, but counted"),
        pytest.param("Red", "Red", PIXELS, "no difference", id="dropped, but counted, with a guess that is right"),
        pytest.param("White", "White", NO_USAGE, "no difference", id="dropped, no usage"),
        pytest.param("Red", "Red", NO_USAGE, "no difference", id="the first image's answer for the second"),
        pytest.param("Red", "It is red.", PIXELS, "no difference", id="the same in other words"),
        # Servers whose model reads base64.
        pytest.param("I see leaves.", "I see leaves.", BYTES, "read as text", id="base64"),
        pytest.param("White", "Black", BYTES, "read as text", id="base64, with guesses"),
        pytest.param("Red", "White", BYTES, "read as text", id="base64, with a guess that is right"),
        pytest.param("A code.", TOO_LONG, BYTES, "read as text", id="base64, longer than the context"),
        pytest.param("A code.", "A code.", FULL, "no difference", id="base64, cut off"),
    ],
)
def test_what_the_answers_prove(first: str, second: str | RowError, tokens: tuple[int, int, int], state: str) -> None:
    plain, with_first, with_second = tokens
    answers = ColourAnswer("red", first, with_first, 2_270), second_answer(second, with_second)
    assert judge_vision(*answers, plain).state == state


def test_without_an_answer_to_text_the_prompt_proves_nothing() -> None:
    answers = ColourAnswer("red", "Hm.", 25, 2_270), ColourAnswer("blue", "Ah.", 25, 6_700)
    assert judge_vision(*answers, None) == VisionCheck("not shown", "Hm. / Ah.", None)


def answer_with(*texts: str, plain: int = 20, grown: int = 402) -> Callable[[httpx.Request], httpx.Response]:
    """A server that answers images with these texts in turn. An image adds ``grown`` tokens to its prompt."""
    left = list(texts)

    def answer(request: httpx.Request) -> httpx.Response:
        pictured = isinstance(json.loads(request.content)["messages"][1]["content"], list)
        usage = {"prompt_tokens": plain + grown * pictured, "completion_tokens": 1} if plain else None
        text = left.pop(0) if pictured else "Hello."
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}], "usage": usage})

    return answer


async def check(
    answer: Callable[[httpx.Request], httpx.Response], respx_mock: respx.MockRouter
) -> tuple[VisionCheck, respx.Route]:
    route = respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=1) as session:
        sight, seconds = await check_vision(ProbeSession.of(session), random.Random(7))
    assert seconds > 0
    return sight, route


FIRST, SECOND = random.Random(7).sample(sorted(COLOURS), 2)


async def test_two_images_are_shown_one_after_the_other_at_temperature_0(respx_mock: respx.MockRouter) -> None:
    sight, route = await check(answer_with(FIRST, SECOND), respx_mock)
    assert sight == VisionCheck("seen", FIRST, 402)
    bodies = [json.loads(call.request.content) for call in route.calls]
    assert [body["temperature"] for body in bodies] == [0.0] * 3
    assert isinstance(bodies[2]["messages"][1]["content"], list), "the second image comes last"


async def test_a_server_that_rejects_temperature_0_is_asked_at_the_users(respx_mock: respx.MockRouter) -> None:
    """GigaChat: https://github.com/ai-forever/gigachain/issues/237"""
    say = answer_with(FIRST, SECOND)

    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["temperature"] > 0:
            return say(request)
        return error_response(422, "Invalid params: temperature must be in range (0, +inf)")

    sight, route = await check(answer, respx_mock)
    assert sight.state == "seen"
    assert route.call_count == 5


async def test_a_refused_temperature_is_left_out_from_then_on(respx_mock: respx.MockRouter) -> None:
    say = answer_with(FIRST, SECOND)

    def answer(request: httpx.Request) -> httpx.Response:
        if "temperature" not in json.loads(request.content):
            return say(request)
        return error_response(400, "Unsupported value.", param="temperature", code="unsupported_value")

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session(max_attempts=1) as session:
        probe = ProbeSession.of(session)
        assert (await check_vision(probe, random.Random(7)))[0].state == "seen"
        assert probe.profile.dialect.dropped == {"temperature"}


@pytest.mark.parametrize(
    ("status", "words", "state", "images"),
    [
        pytest.param(400, "At most 0 image(s) may be provided in one prompt.", "refused", 1, id="vLLM"),
        pytest.param(400, "This model is not a multimodal model.", "refused", 1, id="vLLM, a text model"),
        pytest.param(500, "image input is not supported", "refused", 1, id="llama.cpp"),
        pytest.param(413, "Payload too large", "refused", 2, id="a proxy"),
        pytest.param(400, "Bad input.", "refused", 2, id="a refusal that says nothing of images"),
        pytest.param(500, "Internal server error", "failed", 2, id="a failure that says nothing of images"),
        pytest.param(500, "image preprocessing worker restarted", "failed", 2, id="a failure that names images"),
        pytest.param(500, "Failed to load multimodal processor shard", "failed", 2, id="another one"),
        pytest.param(502, "The vision backend is gone.", "failed", 1, id="a gateway"),
        pytest.param(400, "maximum context length is 64 tokens, with the image", "failed", 1, id="a short context"),
    ],
)
async def test_a_rejected_image(respx_mock: respx.MockRouter, status: int, words: str, state: str, images: int) -> None:
    say = answer_with("Hello.")

    def answer(request: httpx.Request) -> httpx.Response:
        return error_response(status, words) if b"base64" in request.content else say(request)

    respx_mock.get(path="/health").respond(200)
    sight, route = await check(answer, respx_mock)
    assert (sight.state, sight.text) == (state, words)
    assert route.call_count == 1 + images, "one is repeated as a JPEG if the format may be the reason"


async def test_a_server_that_rejects_every_request_does_not_reject_images(respx_mock: respx.MockRouter) -> None:
    words = "Could not finish the message because max_tokens was reached."
    sight, _ = await check(lambda _: error_response(400, words), respx_mock)
    assert sight == VisionCheck("failed", words)


@each_case(("tokens", "patch"), [(402, 28), (326, 32), (400, None), (258, None), (765, None), (0, None), (None, None)])
def test_the_patch_size_follows_from_the_image_tokens(tokens: int | None, patch: int | None) -> None:
    assert detect_patch_size(VisionCheck("seen", "red", tokens)) == patch
