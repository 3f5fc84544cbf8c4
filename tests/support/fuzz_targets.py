"""What reads bytes that others wrote. Each target takes any bytes, and raises only if there is a bug in the package.

``tests/test_fuzzed_bytes.py`` tries changed copies of the seeds with Hypothesis, ``scripts/fuzz.py`` with atheris.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from persqa_client.answers.doubts import find_doubts
from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.client.classify import classify_response
from persqa_client.client.response import read_completion, read_stream
from persqa_client.errors import RowError, SettingsError
from persqa_client.images.prepare import parse_image
from persqa_client.inputs.rows import parse_line
from persqa_client.jsonl import dump_compact
from persqa_client.storage.checkpoint import read_checkpoint, read_run_file
from persqa_client.storage.journal import JournalEntry, read_journal
from persqa_client.storage.records import outcome_to_json
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Completion, TaskId
from tests.answers.helpers import make_task
from tests.client.attempts import FRESH
from tests.storage.scenario import make_failure, make_record


class Target(NamedTuple):
    """``seeds``: bytes that are valid."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def read_row(data: bytes) -> None:
    parse_line(1, data, image_key="image", output_key="pers_qa")


def read_reply(data: bytes) -> None:
    for read in (read_completion, read_stream):
        read(data, FRESH)
    status = 400 + (data[0] if data else 0) % 200
    assert classify_response(status, {}, data, FRESH, now=0.0).message


def read_answer(data: bytes) -> None:
    completion, task = Completion(data.decode("utf-8", "replace"), "stop"), make_task()
    answer = parse_answer(completion, task)
    if check_answer(completion, answer, task) is None:
        find_doubts(answer.text, task)


def read_picture(data: bytes) -> None:
    with suppress(RowError):
        parse_image("a.jpg", data).reencoded(784)


def read_run_files(data: bytes) -> None:
    """Of a run that was found: its journal, checkpoint and run file."""
    with tempfile.TemporaryDirectory() as name:
        files = RunFiles.for_output(Path(name) / "qa.jsonl")
        for path in (files.journal_generation(1), files.checkpoint, files.run):
            path.write_bytes(data)
        list(read_journal(files, 1))
        for read in (read_checkpoint, read_run_file):
            with suppress(SettingsError):
                read(files)


def make_picture(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 40), (90, 20, 160)).save(buffer, format)
    return buffer.getvalue()


def make_journal() -> bytes:
    entries = [JournalEntry("0" * 16, make_record(TaskId(1))), JournalEntry("1" * 16, make_failure(TaskId(2)))]
    return b"".join(dump_compact({"digest": digest, **outcome_to_json(outcome)}) + b"\n" for digest, outcome in entries)


REPLY = {
    "id": "a",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "<mam> reads."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4},
}
CHUNK = {"choices": [{"index": 0, "delta": {"content": "<mam> reads."}, "finish_reason": "stop"}]}
CHECKPOINT = {
    "tool": "persqa_client", "identity": {"model": "m", "extra-body": {}}, "stamp": None, "phase": "running",
    "mode": "run", "position": {"offset": 9, "number": 1, "digest": "a"}, "lengths": [1, 0, 0], "generation": 1,
    "tally": None, "seconds": 1.5, "before": None, "run": None, "format": 3,
}  # fmt: skip
TARGETS = {
    "row": Target(
        read_row,
        (
            b'{"image": ["a.jpg", "b.jpg"], "question": "What does <bo> hold?", "tag": "bo", "id": 17}',
            b'{"image": "a.jpg", "error": {"code": "no_tag", "message": "x", "attempts": 1, "raw": null, "row": 2}}',
            b'{"image": "data:image/png;base64,iVBORw0KGgo=", "category": "animal", "language": "zh"}',
        ),
    ),
    "reply": Target(
        read_reply,
        (
            json.dumps(REPLY).encode(),
            b"data: " + json.dumps(CHUNK).encode() + b"\n\ndata: [DONE]\n\n",
            b'{"error": {"message": "This model does not support image input", "type": "invalid", "code": 400}}',
        ),
    ),
    "answer": Target(
        read_answer,
        (
            b"<mam> wears an orange space suit with a white collar.",
            b"<think>She reads.</think>**<mam>** reads a book, and `<mam>` smiles.",
            "<mam>穿着橙色的太空服。".encode(),
        ),
    ),
    "picture": Target(read_picture, tuple(map(make_picture, ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")))),
    "run_files": Target(read_run_files, (make_journal(), json.dumps(CHECKPOINT).encode())),
}
