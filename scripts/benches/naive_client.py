"""A client as cookbooks show it: the openai package, a semaphore, and tenacity.

usage: naive_client.py BASE_URL MODEL ROWS CONCURRENCY
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path

from openai import APIStatusError, AsyncOpenAI
from tenacity import retry, retry_if_exception_type, wait_random_exponential


def read_image(path: str) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


async def main(url: str, model: str, images: list[str], concurrency: int) -> None:
    client, semaphore = AsyncOpenAI(base_url=url, api_key="none", max_retries=0), asyncio.Semaphore(concurrency)

    @retry(retry=retry_if_exception_type(APIStatusError), wait=wait_random_exponential(multiplier=0.5, max=30))
    async def ask(image: str) -> None:
        content = [
            {"type": "image_url", "image_url": {"url": read_image(image)}},
            {"type": "text", "text": "What is <mam> wearing?"},
        ]
        message = {"role": "user", "content": content}
        await client.chat.completions.create(model=model, messages=[message], max_tokens=64)  # type: ignore[list-item]

    async def answer(image: str) -> None:
        async with semaphore:
            await ask(image)

    await asyncio.gather(*map(answer, images))


if __name__ == "__main__":
    lines = Path(sys.argv[3]).read_text(encoding="utf-8").splitlines()
    asyncio.run(main(sys.argv[1], sys.argv[2], [json.loads(line)["image"][0] for line in lines], int(sys.argv[4])))
