"""Requests to the simulator, for its tests: pictures, bodies and the sending of them. Talks to a loopback port."""

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


def picture(colour: str = "red", size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    """An encoded picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def url(data: bytes, media_type: str = "image/png") -> str:
    """Bytes as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def part(data: bytes | str | None = None, **more: Any) -> dict[str, Any]:
    """An image part: of bytes, of a URL as it is, or without one."""
    address = url(data) if isinstance(data, bytes) else data
    return {"type": "image_url", "image_url": None if address is None else {"url": address}, **more}


def body(*parts: dict[str, Any], text: str = PROMPT, **fields: Any) -> dict[str, Any]:
    """A chat request with these image parts, one red picture where none is given."""
    content = [*(parts or (part(picture()),)), {"type": "text", "text": text}]
    return {"messages": [{"role": "user", "content": content}], **fields}


class Asker:
    """A running simulator and a client of it."""

    def __init__(self, server: Simulator, client: httpx.Client) -> None:
        self.server = server
        self.client = client

    def post(self, request: Any = None, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
        """Send a request, by default a good one."""
        return self.client.post(path, json=body() if request is None else request, headers=headers)

    def text(self, request: Any = None) -> str:
        """The text of a good answer."""
        response = self.post(request)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["message"]["content"])


@contextmanager
def asking(settings: SimSettings | None = None, **values: Any) -> Iterator[Asker]:
    """Serve without delay unless told otherwise, and ask."""
    values.setdefault("latency", 0)
    with run_simulator(settings or SimSettings(**values)) as server:
        root = server.base_url.removesuffix("/v1")
        with httpx.Client(base_url=root, timeout=10, trust_env=False) as client:
            yield Asker(server, client)
