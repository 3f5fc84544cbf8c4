"""Helpers for single attempts over real sockets."""

from __future__ import annotations

import pytest
from aiohttp import web

from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.response import read_completion
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint
from persqa_client.errors import AttemptError
from persqa_client.types import Completion, ErrorDecision
from tests.support.endpoints import Handler, completion_response

BODY = b'{"model":"qwen"}'
FRESH = AttemptContext("http://gpu:8000/v1", "qwen", timeout=7.0)


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


def read_answer(body: bytes) -> Completion:
    completion = read_completion(body, FRESH)
    assert isinstance(completion, Completion)
    return completion


def read_refusal(body: bytes, *, streamed: bool = False) -> ErrorDecision:
    decision = read_completion(body, FRESH, streamed=streamed)
    assert isinstance(decision, ErrorDecision)
    return decision
