"""Whole runs on servers that read not every image format, not every size, or no image at all."""

from __future__ import annotations

import io
import json
from pathlib import Path

from aiohttp import web
from PIL import Image

from persqa_client.errors import RunStopped
from persqa_client.run.summary import Summary
from tests.run.chat_servers import ROWS, Call, completion, good, is_row, openai_error, refuse, run_on
from tests.support.run_folder import RunFolder


def write_images(folder: Path, suffix: str, size: tuple[int, int]) -> None:
    """A row for each of `ROWS` images, every other one of this format and size."""
    lines = []
    for number in range(ROWS):
        name = f"{number}{suffix if number % 2 else '.jpg'}"
        Image.new("RGB", size if number % 2 else (64, 64), (200, number, 0)).save(folder / name)
        lines.append(json.dumps({"id": number, "image": [name], "question": "What is <mam> wearing?"}) + "\n")
    (folder / "in.jsonl").write_text("".join(lines), encoding="utf-8")


def format_of(image: bytes) -> str | None:
    return Image.open(io.BytesIO(image)).format


async def test_webp_is_sent_in_another_format_to_a_server_that_reads_none(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if any(format_of(image) == "WEBP" for image in call.images):
            return refuse(400, {"error": "'url' field must be a base64 encoded image."})
        return good(call)

    write_images(tmp_path, ".webp", (64, 64))
    folder, end, server = await run_on(respond, tmp_path)
    assert isinstance(end, Summary)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})
    assert any("WebP" in note for note in end.notes)
    assert server.rows <= ROWS + 2 * 4, "rows that were prepared before the refusal are converted as well"


async def test_a_side_below_the_servers_minimum_is_enlarged(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        if any(min(Image.open(io.BytesIO(image)).size) < 28 for image in call.images):
            words = "Failed to apply Qwen2_5_VLProcessor"
            return refuse(500, openai_error(words, type="InternalServerError", code=500))
        return good(call)

    write_images(tmp_path, ".jpg", (332, 27))
    write_images(tmp_path, ".png", (332, 27))
    folder, end, server = await run_on(respond, tmp_path)
    assert isinstance(end, Summary)
    assert (folder.answered_ids, folder.failure_codes) == (list(range(ROWS)), {})
    assert server.rows == ROWS


async def test_base64_read_as_text_stops_the_run(tmp_path: Path) -> None:
    def respond(call: Call) -> web.Response:
        answer = completion(call, None if is_row(call) else "I see leaves.")
        sent = sum(len(image) * 4 // 3 for image in call.images)
        answer["usage"]["prompt_tokens"] = (len(call.text) + sent) // 4
        return web.json_response(answer)

    folder = RunFolder(tmp_path)
    folder.write_rows(ROWS, images=ROWS)
    folder, end, server = await run_on(respond, tmp_path)
    assert isinstance(end, RunStopped)
    assert end.code == "no_pictures"
    assert (folder.is_empty, server.rows) == (True, 0)
