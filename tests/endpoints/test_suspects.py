"""Requests that may crash the endpoint are limited, so that one of them rarely affects the others."""

from __future__ import annotations

import asyncio

from persqa_client.endpoints.suspects import SuspectLimit
from persqa_client.limits.concurrency import ConcurrencyLimit


async def test_a_request_that_must_go_alone_is_sent_beside_no_other_suspect() -> None:
    limit, events = SuspectLimit(ConcurrencyLimit(8)), list[str]()
    for _ in range(3):
        limit.record_answer()

    async def send(name: str, *, alone: bool = False) -> None:
        async with limit.turn(alone=alone):
            events.append(f"{name} begins")
            await asyncio.sleep(0)
            events.append(f"{name} ends")

    await asyncio.gather(send("first"), send("second"), send("third", alone=True), send("fourth"))
    assert events[:2] == ["first begins", "second begins"]
    assert events[-4:] == ["third begins", "third ends", "fourth begins", "fourth ends"]


async def test_suspects_that_wait_for_their_turn_are_replaced_by_other_requests() -> None:
    concurrency_limit = ConcurrencyLimit(8)
    limit, seen = SuspectLimit(concurrency_limit), list[int]()

    async def send() -> None:
        async with limit.turn():
            await asyncio.sleep(0)
            seen.append(concurrency_limit.backing_off)

    await asyncio.gather(*(send() for _ in range(4)))
    assert seen == [3, 2, 1, 0]
