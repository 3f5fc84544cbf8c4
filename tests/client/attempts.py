"""Helpers for single attempts over real sockets."""

from __future__ import annotations

import pytest
from aiohttp import web

from persqa_client.client.transport import Client
from persqa_client.config import Endpoint
from persqa_client.errors import AttemptError
from persqa_client.types import ErrorDecision
from tests.support.endpoints import Handler, completion_response

BODY = b'{"model":"qwen"}'


def client_of(url: str, *, timeout: float = 5.0, key: str | None = None) -> Client:
    return Client(Endpoint.model_validate({"base_url": url, "model": "qwen", "api_key": key}), timeout=timeout)


async def failure(client: Client) -> ErrorDecision:
    with pytest.raises(AttemptError) as caught:
        await client.send(BODY)
    return caught.value.decision


def recording(heads: list[dict[str, str]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        heads.append({name.lower(): value for name, value in request.headers.items()})
        assert request.method == "GET" or await request.read() == BODY
        return completion_response()

    return handle
