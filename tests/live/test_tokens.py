"""Our count of a picture's tokens beside the server's own."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import urllib.request
from typing import Any

import pytest
from PIL import Image

from persqa_client.images.tokens import count_image_tokens, detect_model_family
from persqa_client.urls import is_loopback
from tests.live.endpoints import LiveEndpoint

MARKS = 2
"""The server counts the token before a picture and the one behind it as well."""

MOST_PIXELS = 1024 * 28 * 28
"""What tests/live/tiny_vllm is set to; larger pictures would be scaled by a setting that we can't ask for."""

EDGES = [(1, 1), (27, 29), (28, 28), (42, 42), (14, 14), (1, 199), (199, 1), (56, 84), (560, 560), (2000, 10)]


def sizes(count: int) -> list[tuple[int, int]]:
    """Edges, then sides by lot, spread evenly over their magnitudes."""
    draw = random.Random(0)
    found = list(EDGES)
    while len(found) < count:
        width, height = (round(10 ** draw.uniform(0.5, 3.3)) for _ in range(2))
        if width * height <= MOST_PIXELS * 0.9 and max(width, height) < 200 * min(width, height):
            found.append((width, height))
    return found


def count(endpoint: LiveEndpoint, content: list[dict[str, Any]]) -> int:
    """Tokens of a prompt, by the server's own /tokenize."""
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": content}]}
    headers = {"Content-Type": "application/json"}
    if endpoint.key_env:
        headers["Authorization"] = f"Bearer {os.environ[endpoint.key_env]}"
    address = f"{endpoint.base_url.removesuffix('/v1')}/tokenize"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    proxies = urllib.request.ProxyHandler({} if is_loopback(endpoint.base_url) else None)
    with urllib.request.build_opener(proxies).open(request, timeout=30) as reply:
        return int(json.load(reply)["count"])


def picture(width: int, height: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def test_our_count_is_the_servers_for_fifty_sizes(endpoint: LiveEndpoint) -> None:
    family = detect_model_family(endpoint.model)
    if endpoint.owner != "vllm" or family is None:
        pytest.skip(f"{endpoint.base_url} is no vLLM with a model whose rule is known")
    text = {"type": "text", "text": "What is this?"}
    alone = count(endpoint, [text])

    counted = {size: count(endpoint, [picture(*size), text]) - alone - MARKS for size in sizes(50)}

    assert counted == {size: count_image_tokens(*size, family) for size in counted}
