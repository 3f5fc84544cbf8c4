"""The least that a client can do: posts bodies that were spliced beforehand, so many at once. Prints requests a second.

usage: bare_client.py BASE_URL REQUESTS AT_ONCE PICTURE…
"""

from __future__ import annotations

import asyncio
import base64
import sys
import time
from pathlib import Path

import aiohttp

BEFORE = (
    b'{"model":"bench-model","messages":[{"role":"user","content":'
    b'[{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,'
)
AFTER = b'"}},{"type":"text","text":"What is <mam> wearing?"}]}],"temperature":0.7,"max_tokens":512}'


async def main(url: str, requests: int, at_once: int, bodies: list[bytes]) -> None:
    left = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=at_once)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def post() -> None:
            for number in left:
                async with session.post(f"{url}/chat/completions", data=bodies[number % len(bodies)]) as response:
                    await response.read()
                    assert response.status == 200

        began = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(at_once)))
    print(f"{requests / (time.perf_counter() - began):.0f}")


if __name__ == "__main__":
    spliced = [BEFORE + base64.b64encode(Path(path).read_bytes()) + AFTER for path in sys.argv[4:]]
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), spliced))
