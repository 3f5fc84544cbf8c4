"""OpenAI's rows for vision fine-tuning: ``messages``, with the pictures in them as ``data:`` URIs.

The rules of the service (developers.openai.com/api/docs/guides/vision-fine-tuning): a line is one object with
``messages``. A block of the type ``image_url`` has a URL, or a ``data:`` URI with base64. Pictures are JPEG, PNG or
WebP, of at most 10 MB, at most 10 in a row, and only in messages of the user.
"""

from __future__ import annotations

from persqa_client.formats.content_blocks import make_block_messages, read_block_messages
from persqa_client.formats.layout import Layout, PictureLimits
from persqa_client.formats.row_members import read_string
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

LIMITS = PictureLimits(frozenset({"image/jpeg", "image/png", "image/webp"}), max_bytes=10_000_000, max_count=10)


def write_openai_row(record: DataRecord) -> bytes:
    pictures: list[Json] = [{"type": "image_url", "image_url": {"url": image}} for image in record.images]
    return dump_compact({"messages": make_block_messages(pictures, record.question, record.answer)})


def read_openai_row(row: Json) -> DataRecord:
    images, question, answer = read_block_messages(row, "image_url", read_url_block)
    return DataRecord("", tuple(images), question, answer)


def read_url_block(block: Json) -> str:
    inner = block.get("image_url")
    if not isinstance(inner, dict):
        raise ValueError("'image_url' is not an object")
    return read_string(inner, "url")


OPENAI = Layout(
    name="openai",
    consumer="OpenAI fine-tuning",
    write=write_openai_row,
    read=read_openai_row,
    pictures=("embed",),
    limits=LIMITS,
)
