"""A run whose server accepts no WebP, no small images and no large bodies."""

from __future__ import annotations

import asyncio
import io
import random
from pathlib import Path

import orjson
import pybase64
from aiohttp import web
from PIL import Image

from persqa_client import generate
from tests.support.endpoints import completion_response, serve_handler


async def handle(request: web.Request) -> web.Response:
    if request.path != "/v1/chat/completions":
        return web.Response(status=404)
    # aiohttp refuses more than 1 MiB with status 413.
    content = (await request.json())["messages"][-1]["content"]
    for part in content if isinstance(content, list) else ():
        if part["type"] == "image_url":
            head, _, data = part["image_url"]["url"].partition(",")
            if "webp" in head:
                return web.json_response({"error": "'url' field must be a base64 encoded image."}, status=400)
            if min(Image.open(io.BytesIO(pybase64.b64decode(data))).size) < 28:
                return web.json_response({"error": {"message": "Failed to apply Qwen2_5_VLProcessor"}}, status=500)
    return completion_response("<mam> stands beside a wooden door in a red coat.")


async def test_every_row_is_answered_and_the_changes_are_noted(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (900, 700), random.Random(1).randbytes(3 * 900 * 700))
    noise.resize((320, 240)).save(tmp_path / "a.webp")
    noise.resize((332, 27)).save(tmp_path / "strip.jpg")
    noise.save(tmp_path / "large.png")
    names = ["a.webp", "strip.jpg", "large.png", "a.webp"]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps({"image": name}) + b"\n" for name in names))
    async with serve_handler(handle) as url:
        summary = await asyncio.to_thread(
            generate,
            tmp_path / "rows.jsonl",
            tmp_path / "qa.jsonl",
            base_url=f"{url}/v1",
            model="m",
            details=True,
            probes=False,
        )
    assert summary.tally.succeeded == len(names)
    assert [note.partition(" ")[0] for note in summary.notes] == ["WebP", "images"]
    assert orjson.loads((tmp_path / "qa.run.json").read_bytes())["notes"] == list(summary.notes)
    rows = [orjson.loads(line) for line in (tmp_path / "qa.jsonl").read_bytes().splitlines()]
    (webp,), (strip,), (large,), _ = (row["pers_qa_meta"]["pictures"] for row in rows)
    assert webp["media_type"] == large["media_type"] == "image/jpeg"
    assert (strip["width"], strip["height"]) == (393, 32)
    assert large["bytes"] < 1 << 20
