"""Probes at a real server, whose model may have random weights and name no colour."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from persqa_client.config import Endpoint as Address
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.endpoints.session import Session
from persqa_client.probing.capabilities import ServerCapabilities, explain_unusable_vision, list_warnings
from persqa_client.probing.features import probe_uuid
from persqa_client.probing.probe import probe_server
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.probing.vision import make_colour_image
from persqa_client.types import Request
from tests.live.endpoints import LiveEndpoint

TIMES = 8
WHOLE = 3
"""Times that all is found; most of the probes are asked anew each time."""


@pytest.fixture
async def session(endpoint: LiveEndpoint) -> AsyncIterator[Session]:
    if endpoint.owner != "vllm":
        pytest.skip(f"{endpoint.base_url} is no vLLM")
    key = find_api_key(endpoint.base_url, endpoint.key_env, os.environ)
    async with Session(Address(base_url=endpoint.base_url, model=endpoint.model, api_key=key)) as session:
        yield session


async def test_what_vllm_does_is_found_each_time(session: Session) -> None:
    """Answers at temperature 0 are compared, and the colours are drawn anew for each probe."""
    for _ in range(WHOLE):
        server = await probe_server(session, thorough=True, uuid=True)
        assert explain_unusable_vision(server) is None
        assert (server.constraint, server.prefill) == ("structured_outputs", "continue_final_message")
        assert (server.seed, server.uuid, server.image_pair) == ("obeyed", True, True)
        assert server.root is not None


async def test_uuids_are_found_while_the_server_is_busy(session: Session) -> None:
    """Other requests share its batches, which may change the last bits of its numbers."""
    picture = make_colour_image("white", 112)
    probe = ProbeSession.of(session)
    requests = (Request("You look closely.", (picture,), "What is it?", seed=seed, max_tokens=64) for seed in range(40))
    others = [asyncio.create_task(probe.try_complete(request)) for request in requests]
    silent = ProbeSession(session, probe.profile, min_tokens=8)
    assert await asyncio.gather(*(probe_uuid(silent) for _ in range(TIMES))) == [True] * TIMES
    await asyncio.gather(*others)


async def test_a_model_that_names_no_colour_is_warned_about(session: Session, endpoint: LiveEndpoint) -> None:
    server: ServerCapabilities = await probe_server(session, strategy="direct")
    warnings = list_warnings([server], [endpoint.base_url])
    assert server.vision is not None
    assert len(warnings) == (server.vision.state != "seen")
