"""The format of the test images is the one that a server accepts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.probing.probe import probe_server
from persqa_client.run.summary import Summary
from persqa_client.simulator.vision import read_facts
from tests.probing.test_probe_features import make_local_session
from tests.run.chat_servers import Call, good, openai_error, refuse, run_on
from tests.support.endpoints import serve_handler

Check = Callable[[list[str]], web.Response | None]


class ColourServer:
    """Names the colours of images if ``check`` finds nothing wrong with their formats."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.sent: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        images = Call(await request.json(), 0, 0.0).images
        formats = [str(Image.open(io.BytesIO(image)).format) for image in images]
        self.sent.append("+".join(formats))
        if (response := self.check(formats)) is not None:
            return response
        text = ", ".join(read_facts(image).main_colours[0] for image in images) or "Hello."
        usage = {"prompt_tokens": 20 + 400 * len(images), "completion_tokens": 1}
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": usage})


def refuse_png(status: int, message: str) -> Check:
    body: dict[str, Any] = {"error": {"message": message}}
    return lambda formats: web.json_response(body, status=status) if "PNG" in formats else None


async def probe(server: ColourServer, **how: Any) -> tuple[ServerCapabilities, frozenset[str]]:
    async with serve_handler(server.handle) as url, make_local_session(f"{url}/v1", "m") as session:
        found = await probe_server(session, **how)
        return found, session.image_dialect.form.refused_types


async def test_a_refused_png_is_repeated_as_a_jpeg_and_not_sent_again() -> None:
    server = ColourServer(refuse_png(400, "Unsupported image format: only JPEG is accepted"))
    found, refused = await probe(server, thorough=True)
    assert found.vision is not None
    assert found.vision.state == "seen"
    assert refused == {"image/png"}
    assert (found.images_taken, found.image_pair) == (16, True)
    assert sum("PNG" in formats for formats in server.sent) == 1


async def test_a_png_that_fails_again_after_a_jpeg_is_not_sent_any_more() -> None:
    server = ColourServer(refuse_png(500, "image: unknown format"))
    found, refused = await probe(server, thorough=True)
    assert found.vision is not None
    assert found.vision.state == "seen"
    assert refused == {"image/png"}
    assert found.image_pair is True


async def test_failures_that_end_by_chance_are_not_the_formats_fault() -> None:
    left = [web.json_response({"error": {"message": "Restarting."}}, status=500) for _ in range(5)]
    server = ColourServer(lambda formats: left.pop() if left and formats else None)
    found, refused = await probe(server, strategy="direct")
    assert found.vision is not None
    assert found.vision.state == "seen"
    assert refused == frozenset()


async def test_base64_is_recognised_in_jpegs_too() -> None:
    """A model that is given base64 as text, on a server that knows JPEG alone."""

    async def handle(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": []})
        body = await request.text()
        if "image/png" in body:
            return web.json_response({"error": {"message": "Bad image."}}, status=400)
        content = json.loads(body)["messages"][-1]["content"]
        usage = {"prompt_tokens": len(json.dumps(content)) // 3, "completion_tokens": 4}
        return web.json_response({"choices": [{"message": {"content": "I see leaves."}}], "usage": usage})

    async with serve_handler(handle) as url, make_local_session(f"{url}/v1", "m") as session:
        found = await probe_server(session, strategy="direct")
    assert found.vision is not None
    assert found.vision.state == "read as text"


async def test_a_run_goes_on_where_png_is_refused(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if any(Image.open(io.BytesIO(image)).format == "PNG" for image in call.images):
            return refuse(400, openai_error("Unsupported image format: only JPEG is accepted"))
        return good(call)

    folder, end, _ = await run_on(respond, tmp_path, rows=4)
    assert isinstance(end, Summary)
    assert len(folder.answered_ids) == 4
    assert any("PNG" in note for note in end.notes)
