"""Posts ready request bodies in a bare aiohttp loop, the least that a client can do. Prints requests per second.

usage: bare_client.py BASE_URL REQUESTS CONCURRENCY IMAGE…           a body for each image
       bare_client.py BASE_URL REQUESTS CONCURRENCY BODIES.jsonl     a body in each line
"""

from __future__ import annotations

import asyncio
import base64
import sys
import time
from pathlib import Path

import aiohttp

BODY_START = (
    b'{"model":"bench-model","messages":[{"role":"user","content":'
    b'[{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,'
)
BODY_END = b'"}},{"type":"text","text":"What is <mam> wearing?"}]}],"temperature":0.7,"max_tokens":512}'


async def main(url: str, requests: int, concurrency: int, bodies: list[bytes]) -> None:
    numbers = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=concurrency)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def post() -> None:
            for number in numbers:
                async with session.post(f"{url}/chat/completions", data=bodies[number % len(bodies)]) as response:
                    await response.read()
                    assert response.status == 200

        began = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(concurrency)))
    print(f"{requests / (time.perf_counter() - began):.3f}")


def read_bodies(path: Path) -> list[bytes]:
    if path.suffix == ".jsonl":
        return path.read_bytes().splitlines()
    return [BODY_START + base64.b64encode(path.read_bytes()) + BODY_END]


if __name__ == "__main__":
    bodies = [body for path in sys.argv[4:] for body in read_bodies(Path(path))]
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bodies))
