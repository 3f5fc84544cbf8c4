"""Small servers for whole runs: they read a chat request, and answer as a server in a public report did."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from persqa_client.errors import RunStopped
from persqa_client.run.summary import Summary
from tests.support.endpoints import serve_handler
from tests.support.run_folder import RunFolder

ROWS = 40
GOOD = "<mam> stands beside a wooden door in a red coat."
TIMEOUT = 60.0

Json = dict[str, Any]


@dataclass
class Call:
    """A chat request: its body, its number, and seconds since the first one."""

    body: Json
    number: int
    seconds: float

    @property
    def images(self) -> list[bytes]:
        parts = [
            part
            for message in self.body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
        ]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url" and part.get("image_url")]
        return [base64.b64decode(url.partition(",")[2]) for url in urls]

    @property
    def text(self) -> str:
        texts = []
        for message in self.body["messages"]:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            texts += [part["text"] for part in parts if part["type"] == "text"]
        return " ".join(texts)


Respond = Callable[[Call], Awaitable[web.Response] | web.Response]


def colour_of(image: bytes) -> str:
    red, green, blue = Image.open(io.BytesIO(image)).convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    names = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 210), "yellow": (240, 220, 40)}
    return min(names, key=lambda name: sum(abs(a - b) for a, b in zip(names[name], (red, green, blue), strict=True)))


def completion(call: Call, text: str | None = None, finish_reason: str | None = "stop", **fields: Any) -> Json:
    """An answer, which names the colour of the probes' pictures."""
    if text is None:
        colours = [colour_of(image) for image in call.images]
        text = f"It is {colours[0]}." if "<mam>" not in call.text and colours else GOOD
    tokens = 30 + len(call.text) // 4 + 80 * len(call.images)
    message = {"role": "assistant", "content": text, **fields}
    return {
        "model": call.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 12},
    }


def good(call: Call) -> web.Response:
    return web.json_response(completion(call))


def is_row(call: Call) -> bool:
    return "<mam>" in call.text


@dataclass
class Server:
    respond: Respond
    calls: int = 0
    rows: int = 0
    began: float | None = None
    bodies: list[Json] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
        if request.method == "GET":
            return web.Response(status=404)
        body = await request.json()
        now = asyncio.get_running_loop().time()
        call = Call(body, self.rows, 0.0)
        if is_row(call):
            self.began = now if self.began is None else self.began
            self.rows += 1
        self.bodies.append(body)
        call.number, call.seconds = self.rows, now - (self.began or now)
        self.calls += 1
        response = self.respond(call)
        return response if isinstance(response, web.Response) else await response


async def run_on(
    respond: Respond, tmp_path: Path, *, rows: int = ROWS, **settings: Any
) -> tuple[RunFolder, Summary | RunStopped, Server]:
    folder, server = RunFolder(tmp_path), Server(respond)
    if not (tmp_path / "in.jsonl").exists():
        folder.write_rows(rows, images=rows, with_question=True)
    async with serve_handler(server.handle) as url:
        run = folder.make_run(f"{url}/v1", model="m", **{"probes": True, "concurrency": 4, **settings})
        try:
            async with asyncio.timeout(TIMEOUT):
                return folder, await run.execute(), server
        except RunStopped as stop:
            return folder, stop, server


def refuse(status: int, body: Any) -> web.Response:
    return web.json_response(body, status=status)


def openai_error(message: str, **fields: Any) -> Json:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **fields}}


def each(nth: int, make: Callable[[], web.Response]) -> Respond:
    return lambda call: make() if is_row(call) and call.number % nth == 0 else good(call)


def each_once(nth: int, make: Callable[[], web.Response]) -> Respond:
    """Like ``each``, but answers a repeated request: by chance, some row would be refused in all its attempts."""
    refused: set[str] = set()

    def respond(call: Call) -> web.Response:
        messages = json.dumps(call.body["messages"])
        if not is_row(call) or call.number % nth or messages in refused:
            return good(call)
        refused.add(messages)
        return make()

    return respond
