"""Images, request bodies and a client for tests of the simulator."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from PIL import Image

from persqa_client.simulator.server import Simulator, run_simulator
from persqa_client.simulator.settings import SimSettings

PROMPT = "The main character in the picture is called <mam>. Begin with <mam>.\nQuestion: What is <mam> wearing?"


def make_image(colour: str = "red", size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    """An encoded image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def image_part(image: bytes | str | None = None, **more: Any) -> dict[str, Any]:
    """An image part of a message: with these bytes, with this URL, or without either."""
    address = data_url(image) if isinstance(image, bytes) else image
    return {"type": "image_url", "image_url": None if address is None else {"url": address}, **more}


def chat_body(*parts: dict[str, Any], text: str = PROMPT, **fields: Any) -> dict[str, Any]:
    """The body of a chat request with these image parts, by default one red image."""
    content = [*(parts or (image_part(make_image()),)), {"type": "text", "text": text}]
    return {"messages": [{"role": "user", "content": content}], **fields}


class SimulatorClient:
    """A client of a running simulator."""

    def __init__(self, server: Simulator, http: httpx.Client) -> None:
        self.server = server
        self.http = http

    def post(self, request: Any = None, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
        """Send a request, by default a good one."""
        return self.http.post(path, json=chat_body() if request is None else request, headers=headers)

    def text(self, request: Any = None) -> str:
        """The text of a good answer."""
        response = self.post(request)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["message"]["content"])


@contextmanager
def connect(**settings: Any) -> Iterator[SimulatorClient]:
    """Run a simulator, by default one without latency, and connect a client to it."""
    with run_simulator(SimSettings(**{"latency": 0, **settings})) as server:
        root = server.base_url.removesuffix("/v1")
        with httpx.Client(base_url=root, timeout=10, trust_env=False) as http:
            yield SimulatorClient(server, http)
