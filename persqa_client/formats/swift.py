"""ms-swift's rows: ``messages`` with marks, and ``images``.

The rules of the loader (modelscope/ms-swift, ``swift/llm/dataset/preprocessor/core.py``, ``swift/llm/template`` and
``docs/source_en/Customization/Custom-dataset.md``):

- ``messages`` is required, with ``role`` and ``content``. ``images`` is a list of paths, URLs or base64 ``data:`` URIs;
  a row without pictures may lack it.
- A relative path starts at the working directory, or at ``ROOT_IMAGE_DIR``.
- ``<image>``, ``<video>`` and ``<audio>`` in a text take the next file. ``<bbox>`` and ``<ref-object>`` take the next
  entry of ``objects``, so neither may be a character's tag.
"""

from __future__ import annotations

from persqa_client.formats.image_marks import add_image_marks, read_marked_question
from persqa_client.formats.layout import FILE_CHOICES, MEDIA_MARKS, Layout
from persqa_client.formats.row_members import read_string, read_strings, read_turns
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json


def write_swift_row(record: DataRecord) -> bytes:
    messages = [
        {"role": "user", "content": add_image_marks(record.question, len(record.images))},
        {"role": "assistant", "content": record.answer},
    ]
    images = {"images": list(record.images)} if record.images else {}
    return dump_compact({"messages": messages, **images})


def read_swift_row(row: Json) -> DataRecord:
    images = read_strings(row, "images")
    asked, answered = read_turns(row, "messages", "role", ("user", "assistant"))
    question = read_marked_question(read_string(asked, "content"), len(images))
    return DataRecord("", images, question, read_string(answered, "content"))


SWIFT = Layout(
    name="swift",
    consumer="ms-swift",
    write=write_swift_row,
    read=read_swift_row,
    pictures=(*FILE_CHOICES, "embed"),
    marks=(*MEDIA_MARKS, "<bbox>", "<ref-object>"),
)
