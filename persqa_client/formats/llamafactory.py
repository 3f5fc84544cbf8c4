"""LLaMA-Factory's ShareGPT rows, with the ``dataset_info.json`` that names them.

The rules of the loader (hiyouga/LLaMA-Factory 02e2fb3, ``src/llamafactory/data/converter.py``, ``parser.py`` and
``mm_plugin.py``):

- ``dataset_info.json`` in ``dataset_dir`` names each file, its columns and the names of roles. A relative path of a
  picture is looked up in ``media_dir``, which is ``dataset_dir`` by default.
- Turns alternate between user and assistant, and their number is even; other rows are skipped with a warning.
- ``images`` is a list; a text is taken for one picture, an empty list for none. All rows must have the member, because
  the column is read from every row.
- ``<image>``, ``<video>`` and ``<audio>`` are counted in the text of every turn. A number that is not that of the files
  is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from persqa_client.formats.image_marks import add_image_marks, read_marked_question
from persqa_client.formats.layout import MEDIA_MARKS, Character, Layout
from persqa_client.formats.row_members import read_string, read_strings, read_turns
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

INDEX = "dataset_info.json"


def write_llamafactory_row(record: DataRecord) -> bytes:
    messages = [
        {"role": "user", "content": add_image_marks(record.question, len(record.images))},
        {"role": "assistant", "content": record.answer},
    ]
    return dump_compact({"messages": messages, "images": list(record.images)})


def read_llamafactory_row(row: Json) -> DataRecord:
    if "images" not in row:
        raise ValueError("it has no 'images'")
    images = read_strings(row, "images")
    asked, answered = read_turns(row, "messages", "role", ("user", "assistant"))
    question = read_marked_question(read_string(asked, "content"), len(images))
    return DataRecord("", images, question, read_string(answered, "content"))


def describe_datasets(names: Sequence[str], characters: Sequence[Character]) -> Mapping[str, Json]:
    """Each file is a dataset with the name of the file."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", "images": "images"}
    return {
        INDEX: {
            PurePath(name).stem: {"file_name": name, "formatting": "sharegpt", "columns": columns, "tags": tags}
            for name in names
        }
    }


LLAMAFACTORY = Layout(
    name="llamafactory",
    consumer="LLaMA-Factory",
    write=write_llamafactory_row,
    read=read_llamafactory_row,
    marks=MEDIA_MARKS,
    describe_files=describe_datasets,
)
