"""RAP's training rows: LLaVA's conversations with the characters that belong to a picture, and the store of characters.

The rules of the trainer and of the retriever (Hoar012/RAP-MLLM 1c7278f, ``llava/train/rap_train.py``, ``data/Data.md``,
and 2a96d72, ``retriever.py``):

- One JSON array. ``image`` is one path, which is joined to the image folder. ``<image>`` marks of the first turn are
  removed, and placed anew.
- ``extra`` has by the path of a picture ``name``, without brackets, and ``info``. Each one is put before the question
  as a further picture with ``Name: <name>, Info: info``. Without any, the object is empty.
- ``database.json`` has in ``concept_dict`` by tag ``name``, ``image``, ``info`` and ``category``, and in
  ``path_to_concept`` the tag of each of these pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

from persqa_client.formats.image_marks import add_image_marks, read_marked_question
from persqa_client.formats.layout import MEDIA_MARKS, Character, Layout, PictureLimits
from persqa_client.formats.row_members import read_id, read_string, read_turns
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

STORE = "database.json"


def write_rap_row(record: DataRecord) -> bytes:
    extra: Json = {}
    if record.reference is not None:
        extra[record.reference] = {
            "name": record.tag_name,
            "info": record.description or "",
            "category": record.category or "",
        }
    return dump_compact(
        {
            "id": record.id,
            "image": record.images[0],
            "conversations": [
                {"from": "human", "value": add_image_marks(record.question, 1)},
                {"from": "gpt", "value": record.answer},
            ],
            "extra": extra,
            "type": "basic",
        }
    )


def read_rap_row(row: Json) -> DataRecord:
    asked, answered = read_turns(row, "conversations", "from", ("human", "gpt"))
    question = read_marked_question(read_string(asked, "value"), 1)
    record = DataRecord(read_id(row), (read_string(row, "image"),), question, read_string(answered, "value"))
    extra = row.get("extra")
    if not isinstance(extra, dict):
        raise ValueError("'extra' is not an object")
    if len(extra) != 1:
        return record
    [(reference, character)] = extra.items()
    tag = f"<{read_string(character, 'name')}>"
    return record.about(tag, reference, read_string(character, "info") or None)


def describe_characters(names: Sequence[str], characters: Sequence[Character]) -> dict[str, Json]:
    """The store; none without characters that have a picture."""
    if not characters:
        return {}
    return {
        STORE: {
            "concept_dict": {
                each.tag: {
                    "name": each.tag[1:-1],
                    "image": each.reference,
                    "info": each.description or "",
                    "category": each.category or "",
                }
                for each in characters
            },
            "path_to_concept": {each.reference: each.tag for each in characters},
        }
    }


RAP = Layout(
    name="rap",
    consumer="RAP-MLLM",
    write=write_rap_row,
    read=read_rap_row,
    suffix=".json",
    marks=MEDIA_MARKS,
    limits=PictureLimits(max_count=1),
    takes_reference=True,
    describe_files=describe_characters,
)
