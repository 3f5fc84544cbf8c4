"""Yo'LLaVA's and MC-LLaVA's pairs: for each character a file with the questions and answers by picture.

The rules of the loaders (WisconsinAIVision/YoLLaVA 6a640ee, ``dataset.py``; arctanxarc/MC-LLaVA 8a1e03d,
``llava/dataset.py``):

- ``NAME/conversation.json`` in the folder of training data is one object. By the path of a picture it has a list of
  pairs, which have ``Human`` and ``AI`` and no other member. A second member of the same path would replace the first.
- A path starts at the working directory. The picture is opened, also where the text is trained without it.
- Yo'LLaVA trains ``conversation.json`` with the picture, and a file ``text-only-conversation.json`` without it.
  MC-LLaVA trains ``conversation.json`` without the picture. Both also open files about recognition, which are not
  written here.
- MC-LLaVA joins the names of characters by underscores, so a name must not have one.
"""

from __future__ import annotations

from persqa_client.errors import RowError
from persqa_client.formats.image_marks import IMAGE_MARK
from persqa_client.formats.layout import Layout, PictureLimits
from persqa_client.formats.row_members import read_objects, read_string
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

FILE = "conversation.json"


def write_pair(record: DataRecord) -> bytes:
    """An object with one picture and one pair; those of a file are joined."""
    return dump_compact({record.images[0]: [{"Human": record.question, "AI": record.answer}]})


def read_pair(row: Json) -> DataRecord:
    """Reads the pair of an object with one picture and one pair. Raises ValueError for others."""
    if len(row) != 1:
        raise ValueError(f"it has {len(row)} pictures")
    image = next(iter(row))
    pairs = read_objects(row, image)
    if len(pairs) != 1 or pairs[0].keys() != {"Human", "AI"}:
        raise ValueError(f"{image!r} has no single pair of 'Human' and 'AI'")
    return DataRecord("", (image,), read_string(pairs[0], "Human"), read_string(pairs[0], "AI"))


def choose_concept_file(record: DataRecord) -> str:
    return f"{record.tag_name}/{FILE}"


def choose_joined_concept_file(record: DataRecord) -> str:
    """Raises RowError for a name with an underscore."""
    if "_" in record.tag_name:
        raise RowError("tag_name", f"the format takes the underscore in <{record.tag_name}> for the end of a name")
    return choose_concept_file(record)


YOLLAVA = Layout(
    name="yollava",
    consumer="Yo'LLaVA",
    write=write_pair,
    read=read_pair,
    suffix=".json",
    marks=(IMAGE_MARK,),
    limits=PictureLimits(max_count=1),
    choose_file=choose_concept_file,
)
MCLLAVA = Layout(
    name="mcllava",
    consumer="MC-LLaVA",
    write=write_pair,
    read=read_pair,
    suffix=".json",
    marks=(IMAGE_MARK,),
    limits=PictureLimits(max_count=1),
    choose_file=choose_joined_concept_file,
)
