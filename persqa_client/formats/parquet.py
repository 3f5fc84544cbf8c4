"""Parquet with the pictures in it, as Hugging Face's ``datasets`` loads it from a folder.

The rules of the readers (huggingface/datasets 4, ``features/image.py``, ``config.py`` and ``naming.py``; the Hub's
dataset viewer):

- A picture is a struct of ``bytes`` and ``path``. The schema's metadata ``huggingface`` names the column's feature;
  without it, the column would be bytes and not a picture. ``path`` is a name only, since ``bytes`` are there.
- ``[feature]`` is a list in all versions. ``Sequence`` of a struct was a struct of lists before version 4.
- Files are named ``data/SPLIT-00000-of-00002.parquet``. A split is named by letters, digits and underscores.
- A row group is decoded as a whole. The viewer refuses those of more than 286 MiB, and ``datasets`` writes 100 rows in
  one if they have pictures. Groups of 32 MB hold about as many photos, and a few of them fit into memory.
- ``push_to_hub`` writes files of 500 MB (``MAX_SHARD_SIZE``).
- TRL takes the columns ``images`` and ``messages``, with a block for each picture (``trl.py``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.extras import import_extra
from persqa_client.formats.dataset_card import write_parquet_card
from persqa_client.formats.layout import PackedFormat, RowFiles

SPLIT_NAME = re.compile(r"\w+")
# Names that ``datasets`` keeps for itself.
RESERVED_SPLITS = frozenset({"all"})


def open_parquet_files(folder: Path, parts: Sequence[str], details: bool) -> RowFiles:
    for part in parts:
        if not SPLIT_NAME.fullmatch(part) or part in RESERVED_SPLITS:
            raise SettingsError(
                f"--split: {part!r} can't be the name of a split in Hugging Face's datasets; use letters, digits and "
                "underscores, and not 'all'"
            )
    import_extra("pyarrow", "parquet", "the format parquet")
    from persqa_client.formats.parquet_files import ParquetFiles

    return ParquetFiles(folder, parts, details=details)


PARQUET = PackedFormat(
    name="parquet",
    consumer="Hugging Face datasets, TRL",
    open_files=open_parquet_files,
    write_card=write_parquet_card,
)
