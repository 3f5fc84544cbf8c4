"""LLaVA's list of conversations, which Qwen's trainer reads, too.

The rules of the two loaders, from their source:

- LLaVA (haotian-liu/LLaVA, ``llava/train/train.py``) reads one JSON array. ``image`` is a path that is joined to
  ``--image_folder``; a row without pictures has no ``image`` at all, and is then padded in mixed batches.
- Qwen (QwenLM/Qwen2.5-VL 57f2186, ``qwen-vl-finetune/qwenvl/data/data_processor.py``) reads an array, or lines if the
  name ends in ``jsonl``. ``image`` is a path or a list of them; other members, such as ``images``, are not read. Each
  ``<image>`` and ``<video>`` in a human turn takes the next file, and a number that differs is an error.
"""

from __future__ import annotations

from persqa_client.formats.image_marks import add_image_marks, read_marked_question
from persqa_client.formats.layout import MEDIA_MARKS, Layout
from persqa_client.formats.row_members import read_id, read_string, read_strings, read_turns
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json


def write_llava_row(record: DataRecord) -> bytes:
    row: Json = {"id": record.id}
    if record.images:
        # The original LLaVA opens a single path only.
        row["image"] = record.images[0] if len(record.images) == 1 else list(record.images)
    row["conversations"] = [
        {"from": "human", "value": add_image_marks(record.question, len(record.images))},
        {"from": "gpt", "value": record.answer},
    ]
    return dump_compact(row)


def read_llava_row(row: Json) -> DataRecord:
    image = row.get("image")
    images = (image,) if isinstance(image, str) else read_strings(row, "image")
    asked, answered = read_turns(row, "conversations", "from", ("human", "gpt"))
    question = read_marked_question(read_string(asked, "value"), len(images))
    return DataRecord(read_id(row), images, question, read_string(answered, "value"))


LLAVA = Layout(
    name="llava",
    consumer="LLaVA, Qwen's trainer",
    write=write_llava_row,
    read=read_llava_row,
    suffix=".json",
    marks=MEDIA_MARKS,
)
