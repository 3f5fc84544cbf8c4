"""Finds the files of a data set in a folder, as Hugging Face's ``datasets`` and others lay them out.

- ``save_to_disk`` writes ``dataset_info.json``, ``state.json`` and ``data-*.arrow``; of several splits, it writes
  ``dataset_dict.json`` and a folder for each.
- The Hub's data sets and our exports have ``data/*.parquet``. WebDataset has ``*.tar``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from natsort import natsorted, ns

from persqa_client.errors import SettingsError

SPLITS = "dataset_dict.json"
DATA_FOLDER = "data"
SUFFIXES = (".parquet", ".arrow", ".tar", ".tar.gz", ".tgz")
# What ``datasets`` keeps beside its files.
CACHE_PREFIX = "cache-"


def find_dataset_files(folder: Path) -> list[Path]:
    """In natural order. Raises SettingsError for several splits, which have the same names of files."""
    if (folder / SPLITS).is_file():
        names = list_splits(folder / SPLITS)
        raise SettingsError(
            f"The input {folder} has several splits ({', '.join(names)}); give the folder of one, such as "
            f"{folder / names[0]}."
        )
    for place in (folder, folder / DATA_FOLDER):
        if files := list_packed_files(place):
            return files
    return []


def list_packed_files(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES)]
    except OSError:
        return []
    names = [name for name in names if not name.startswith((".", CACHE_PREFIX))]
    return [folder / name for name in natsorted(names, alg=ns.IGNORECASE)]


def list_splits(path: Path) -> list[str]:
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError):
        splits = []
    return [str(each) for each in splits] or ["train"]
