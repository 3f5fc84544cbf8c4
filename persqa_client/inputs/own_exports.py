"""Finds the folders that ``persqa export`` wrote. Their pictures are copies, so a listing leaves them out."""

from __future__ import annotations

import os
from pathlib import Path

from persqa_client.jsonl import load_object
from persqa_client.types import Json

# The file of an export that says where its rows come from, and its first member.
DESCRIPTION = "export.json"
TOOL = "persqa_client"


def load_export(path: Path) -> Json | None:
    """The description in this file; None if there is none, or another program's."""
    try:
        fields = load_object(path.read_bytes())
    except (OSError, ValueError):
        return None
    return fields if fields.get("tool") == TOOL and "export" in fields else None


def is_export_folder(folder: str) -> bool:
    path = os.path.join(folder, DESCRIPTION)
    return os.path.isfile(path) and load_export(Path(path)) is not None
