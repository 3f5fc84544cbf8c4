"""The session that most tests of the chat talk through. Its requests go to respx."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
import respx

from persqa_client.endpoints.session import Session
from tests.chat.talking import make_session


@pytest_asyncio.fixture
async def session(respx_mock: respx.MockRouter) -> AsyncIterator[Session]:
    async with make_session(max_attempts=3, concurrency=64) as session:
        yield session
