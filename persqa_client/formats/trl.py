"""TRL's conversational rows with pictures: ``messages`` with blocks, and ``images``.

The rules of the trainer (huggingface/trl, ``trl/data_utils.py`` and ``docs/source/dataset_formats.md``):

- A row is conversational if ``messages`` is a list of objects with ``role`` and ``content``.
- ``{"type": "image"}`` in a content takes the next picture of ``images``; their numbers must be equal. The block has no
  other member, because templates test for its presence.
- The rows are read by ``datasets``, so a member has one type in all rows: each content is a list of blocks, that of the
  assistant, too, and a row without pictures has an empty list.
- A relative path starts at the working directory. Paths become pictures by
  ``dataset.cast_column("images", datasets.Sequence(datasets.Image()))``.
"""

from __future__ import annotations

from persqa_client.formats.content_blocks import make_block_messages, read_block_messages, text_block
from persqa_client.formats.layout import Layout
from persqa_client.formats.row_members import read_strings
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json


def write_trl_row(record: DataRecord) -> bytes:
    places: list[Json] = [{"type": "image"} for _ in record.images]
    messages = make_block_messages(places, record.question, [text_block(record.answer)])
    return dump_compact({"images": list(record.images), "messages": messages})


def read_trl_row(row: Json) -> DataRecord:
    images = read_strings(row, "images")
    places, question, answer = read_block_messages(row, "image", lambda block: block)
    if len(places) != len(images):
        raise ValueError(f"{len(places)} image blocks and {len(images)} pictures")
    return DataRecord("", images, question, answer)


TRL = Layout(name="trl", consumer="TRL", write=write_trl_row, read=read_trl_row)
