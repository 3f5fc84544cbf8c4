"""A session sends images in the form that a server accepts, and learns it once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pybase64
import pytest
from aiohttp import web
from PIL import Image

from persqa_client.client.dialect import Dialect
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError
from persqa_client.images.loader import add_image_uuid
from persqa_client.types import EncodedImage, Request
from tests.images.image_files import SAMPLES, decode, encode
from tests.support.endpoints import FAST_BACKOFF, TEST_TIMEOUT, completion_response, serve_handler

PHOTO = decode(SAMPLES[0].read_bytes()).resize((320, 240))
NOISE = Image.frombytes("RGB", (900, 700), random.Random(1).randbytes(3 * 900 * 700))
NO_IMAGE = "'url' field must be a base64 encoded image."

Check = Callable[[list[str]], web.Response | None]


def encoded(image: Image.Image, format: str, **settings: object) -> EncodedImage:
    return EncodedImage(encode(image, format, **settings), f"image/{format.lower()}", *image.size)


def ask(*images: EncodedImage, question: str = "What is <mam> wearing?") -> Request:
    return Request("You look closely.", images, question, seed=7)


def error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


class Server:
    """Answers chat requests if ``check`` finds nothing wrong with the media types of their images.

    aiohttp refuses bodies of more than 1 MiB with 413, like nginx.
    """

    def __init__(self, check: Check = lambda types: None) -> None:
        self.check = check
        self.types: list[str] = []
        self.sizes: list[int] = []
        self.contents: dict[str, set[bytes]] = {}  # by uuid
        self.uuids_only = 0

    async def handle(self, request: web.Request) -> web.Response:
        if request.path != "/v1/chat/completions":
            return web.Response(status=404)
        self.sizes.append(int(request.headers["Content-Length"]))
        body: dict[str, Any] = await request.json()
        content = body["messages"][-1]["content"]
        types = []
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url" and part["image_url"] is None:
                self.uuids_only += 1
            elif part["type"] == "image_url":
                head, _, data = part["image_url"]["url"].partition(",")
                types.append(head.removeprefix("data:image/").removesuffix(";base64"))
                self.contents.setdefault(part.get("uuid", ""), set()).add(pybase64.b64decode(data))
        self.types.append("+".join(types))
        return self.check(types) or completion_response()


def make_session(url: str, **limits: Any) -> Session:
    limits = {"concurrency": 8, **limits}
    return Session(
        Endpoint(base_url=f"{url}/v1", model="m"),
        limits=Limits(**limits),
        backoff=FAST_BACKOFF,
        probe_backoff=FAST_BACKOFF,
    )


async def test_a_refused_webp_is_sent_as_jpeg_at_no_cost_and_so_for_the_rest_of_the_run() -> None:
    server = Server(lambda types: error(400, NO_IMAGE) if "webp" in types else None)
    webp = encoded(PHOTO, "WEBP")
    async with serve_handler(server.handle) as url, make_session(url) as session:
        replies = [await session.complete(ask(webp)) for _ in range(3)]
    assert server.types == ["webp", "jpeg", "jpeg", "jpeg"]
    assert [reply.attempts for reply in replies] == [1] * 3
    assert {image.media_type for reply in replies for image in reply.pictures} == {"image/jpeg"}
    assert session.image_dialect.describe_changes() == ["WebP images are converted: the server refuses them"]


async def test_many_refused_at_once_do_not_stop_the_run() -> None:
    """More than the failures alike after which an endpoint is tried."""
    server = Server(lambda types: error(400, NO_IMAGE) if "webp" in types else None)
    images = [encoded(PHOTO.resize((200 + 2 * number, 200)), "WEBP") for number in range(40)]
    async with serve_handler(server.handle) as url, make_session(url, concurrency=40) as session:
        await asyncio.gather(*(session.complete(ask(image)) for image in images))
    assert server.types.count("jpeg") == 40
    assert server.types.count("webp") <= 40


async def test_a_server_error_is_taken_for_a_refusal_if_it_comes_again() -> None:
    server = Server(lambda types: error(500, "image: unknown format") if "webp" in types else None)
    async with serve_handler(server.handle) as url, make_session(url) as session:
        replies = [await session.complete(ask(encoded(PHOTO, "WEBP"))) for _ in range(4)]
    assert server.types == ["webp", "webp", "jpeg"] * 2 + ["jpeg"] * 2
    assert [reply.attempts for reply in replies] == [3, 3, 1, 1]


async def test_a_refused_row_stays_refused_and_the_others_are_answered() -> None:
    def check(types: list[str]) -> web.Response | None:
        return error(400, "Flagged.") if len(types) == 2 else None

    server = Server(check)
    webp, jpeg = encoded(PHOTO, "WEBP"), encoded(PHOTO, "JPEG")
    async with serve_handler(server.handle) as url, make_session(url) as session:
        bad, good = await asyncio.gather(
            session.complete(ask(webp, jpeg)), session.complete(ask(jpeg)), return_exceptions=True
        )
        assert isinstance(bad, RowError)
        assert (bad.code, bad.raw, bad.attempts) == ("rejected", "Flagged.", 1)
        assert not isinstance(good, BaseException)
        assert session.image_dialect.describe_changes() == []
    assert server.types.count("jpeg+jpeg") == 1


async def test_a_body_that_is_too_large_is_made_smaller_once_for_the_run() -> None:
    server = Server()
    images = [encoded(NOISE.resize((900, 700 - number)), "PNG") for number in range(6)]
    images += [encoded(NOISE.resize((900, 700 - number)), "JPEG", quality=100) for number in range(6)]
    async with serve_handler(server.handle) as url, make_session(url) as session:
        refused = []
        for image in images:
            before = len(server.sizes)
            reply = await session.complete(ask(image))
            refused.append(len(server.sizes) - before - 1)
            assert reply.attempts == 1
        (note,) = session.image_dialect.describe_changes()
    assert refused[0] == 1
    assert sum(refused) <= 4
    assert sum(refused[-3:]) == 0
    assert "are made smaller" in note
    assert set(server.types) == {"jpeg"}


async def test_a_row_fails_only_if_the_smallest_image_is_too_large() -> None:
    def check(types: list[str]) -> web.Response | None:
        return error(413, "Payload Too Large") if len(types) > 1 else None

    server = Server(check)
    image = encoded(NOISE.resize((600, 400)), "JPEG", quality=95)
    async with serve_handler(server.handle) as url, make_session(url) as session:
        bad, good = await asyncio.gather(
            session.complete(ask(image, image)), session.complete(ask(image)), return_exceptions=True
        )
    assert isinstance(bad, RowError)
    assert (bad.code, bad.attempts) == ("too_large", 1)
    assert not isinstance(good, BaseException)
    assert 3 < server.types.count("jpeg+jpeg") < 12


async def test_a_uuid_never_names_two_contents_and_many_questions_share_one_conversion() -> None:
    server = Server(lambda types: error(400, NO_IMAGE) if "webp" in types else None)
    webp = add_image_uuid(encoded(PHOTO, "WEBP"), {})
    async with serve_handler(server.handle) as url, make_session(url) as session:
        session.profile.dialect = Dialect(sends_uuids=True)
        async with asyncio.timeout(TEST_TIMEOUT):
            replies = await asyncio.gather(
                *(session.complete(ask(webp, question=f"Question {number}?")) for number in range(8))
            )
    # The image of the test as JPEG, and the one that the others share.
    assert len({id(reply.pictures[0]) for reply in replies}) <= 2
    assert len({reply.pictures[0] for reply in replies}) == 1
    assert all(len(contents) == 1 for contents in server.contents.values())
    (converted,) = replies[0].pictures
    assert converted.uuid not in (None, webp.uuid)
    assert server.contents[converted.uuid or ""] == {converted.data}
    assert server.uuids_only > 0
    assert session.profile.uploads.cache_misses == 0


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_an_accepted_image_is_sent_as_it_is(format: str) -> None:
    server, image = Server(), encoded(PHOTO, format)
    async with serve_handler(server.handle) as url, make_session(url) as session:
        reply = await session.complete(ask(image))
    assert reply.pictures[0] is image
    assert server.contents == {"": {image.data}}
    assert session.image_dialect.describe_changes() == []


async def test_probes_send_their_images_as_they_are() -> None:
    server = Server(lambda types: error(400, NO_IMAGE) if "png" in types else None)
    async with serve_handler(server.handle) as url, make_session(url) as session:
        with pytest.raises(RowError):
            await session.complete(ask(encoded(PHOTO, "PNG")), profile=replace(session.profile))
        assert server.types == ["png"]
        assert (await session.complete(ask(encoded(PHOTO, "PNG")))).pictures[0].media_type == "image/jpeg"
