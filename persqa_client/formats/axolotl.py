"""Axolotl's ``chat_template`` rows: ``messages`` with blocks that have the pictures in them.

The rules of the loader (axolotl-ai-cloud/axolotl 00999c8, ``docs/multimodal.qmd``): a message has ``role`` and
``content``, a list of blocks. A block of the type ``image`` has ``path``, ``url`` or ``base64``. An ``images`` column
beside it would be appended to the first content, so there is none. A relative path starts at the working directory. The
configuration needs ``skip_prepare_dataset: true``, ``remove_unused_columns: false`` and ``sample_packing: false``.
"""

from __future__ import annotations

from persqa_client.formats.content_blocks import make_block_messages, read_block_messages, text_block
from persqa_client.formats.layout import FILE_CHOICES, Layout
from persqa_client.formats.row_members import read_string
from persqa_client.images.references import DATA_URI
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

# Media type of pictures in the row. The reader has to name a media type; the consumer detects it.
EMBEDDED = "data:image/jpeg;base64,"


def write_axolotl_row(record: DataRecord) -> bytes:
    messages = make_block_messages(
        [make_image_block(image) for image in record.images], record.question, [text_block(record.answer)]
    )
    return dump_compact({"messages": messages})


def make_image_block(image: str) -> Json:
    if DATA_URI.match(image):
        return {"type": "image", "base64": image.partition(",")[2]}
    return {"type": "image", "path": image}


def read_axolotl_row(row: Json) -> DataRecord:
    images, question, answer = read_block_messages(row, "image", read_image_block)
    return DataRecord("", tuple(images), question, answer)


def read_image_block(block: Json) -> str:
    return EMBEDDED + read_string(block, "base64") if "base64" in block else read_string(block, "path")


AXOLOTL = Layout(
    name="axolotl",
    consumer="Axolotl",
    write=write_axolotl_row,
    read=read_axolotl_row,
    pictures=(*FILE_CHOICES, "embed"),
)
