"""RePIC's rows for GRPO: pictures, a question, and the tag that an answer must have in it.

The rules of the trainer (oyt9306/RePIC 4232d96, ``grpo_multitask_multi_img_no_format.py`` of ``open_r1``):

- A YAML file has ``datasets``, each with ``json_path``, which ends in ``.json`` or ``.jsonl`` and starts at the working
  directory. ``image`` is a path or a list of paths, joined to ``image_root``. Pictures are placed before the question,
  which has no marks.
- With ``accu_reward_method`` ``yes_no_name`` an answer of the model is rewarded if ``solution`` is in it exactly, it
  has at least 100 characters, and no closing tag ``</name>``. Without the member, a box would be compared.
- Other members are not read; ``answer`` is for people.

What the trainer's own rows say about reference pictures is not public, so a reference comes first among the pictures,
and the question is as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from persqa_client.formats.layout import MEDIA_MARKS, Character, Layout
from persqa_client.formats.rap import describe_characters
from persqa_client.formats.row_members import read_string, read_strings
from persqa_client.jsonl import dump_compact
from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

METHOD = "yes_no_name"
DATA_SETS = "datasets.yaml"


def write_repic_row(record: DataRecord) -> bytes:
    pictures = list(record.images) if record.reference is None else [record.reference, *record.images]
    return dump_compact(
        {
            "image": pictures[0] if len(pictures) == 1 else pictures,
            "problem": record.question,
            "solution": f"<{record.tag_name}>",
            "accu_reward_method": METHOD,
            "answer": record.answer,
        }
    )


def read_repic_row(row: Json) -> DataRecord:
    """All pictures are images of the record."""
    image = row.get("image")
    images = (image,) if isinstance(image, str) else read_strings(row, "image")
    if row.get("accu_reward_method") != METHOD:
        raise ValueError(f"'accu_reward_method' is not {METHOD}")
    record = DataRecord("", images, read_string(row, "problem"), read_string(row, "answer"))
    return record.about(read_string(row, "solution"))


def describe_repic_files(names: Sequence[str], characters: Sequence[Character]) -> dict[str, Json]:
    """JSON is YAML, too."""
    data_sets: Json = {DATA_SETS: {"datasets": [{"json_path": name} for name in names]}}
    return data_sets | describe_characters(names, characters)


REPIC = Layout(
    name="repic",
    consumer="RePIC",
    write=write_repic_row,
    read=read_repic_row,
    marks=MEDIA_MARKS,
    takes_reference=True,
    describe_files=describe_repic_files,
)
