"""The dataset card: ``README.md`` with the metadata that Hugging Face's Hub and ``datasets`` read from its head.

The rules (huggingface/hub-docs, ``datasetcard.md`` and ``docs/hub/datasets-manual-configuration.md``):

- The head is YAML between two lines ``---``. ``configs`` names the files of each split; without it, every Parquet file
  of the folder would be looked at, and the split be guessed from its name.
- ``license`` is an identifier of the Hub's list in lower case, or ``other`` with a ``license_name``.
- ``size_categories`` is a step of powers of ten, such as ``1K<n<10K``.
"""

from __future__ import annotations

import json
import re
from typing import Any

from persqa_client.types import Json

LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
SIZE_NAMES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
COLUMN_TEXTS = {
    "id": "of the row, unique in this data set",
    "images": "the pictures of the row, in the order in which they were asked about",
    "messages": "the same question and answer as turns, with a block for each picture",
    "question": "what was asked",
    "answer": "what was answered; it begins with the tag",
    "tags": "how the main character is called in the question and the answer",
    "category": "what the main character is, if it was said",
}


def write_parquet_card(description: Json) -> str:
    return "\n".join([*make_card_head(description), "", *make_card_body(description), ""])


def make_card_head(description: Json) -> list[str]:
    parts = list_parts(description["files"])
    lines = ["---", *describe_licence(description["licence"])]
    lines += ["task_categories:", "- visual-question-answering"]
    if languages := list_run_values(description, "language"):
        lines += ["language:", *(f"- {json.dumps(each)}" for each in languages)]
    lines += ["tags:", "- synthetic", "- personalization"]
    lines += ["size_categories:", f"- {name_size(description['counts']['rows'])}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for part in parts:
        lines += [f"  - split: {part}", f'    path: "data/{part}-*.parquet"']
    return [*lines, "---"]


def make_card_body(description: Json) -> list[str]:
    models = ", ".join(f"`{each}`" for each in list_run_values(description, "model")) or "an unnamed model"
    lines = [
        "# Personalised visual question answering",
        "",
        f"Questions about the main character of pictures, with answers of {models} that passed the checks of",
        f"persqa_client {description['version']}. `export.json` has the settings of each run, and what was left out.",
        "",
        "| split | rows |",
        "| --- | --- |",
        *(f"| {part} | {rows:,} |" for part, rows in list_parts(description["files"]).items()),
        "",
        "| column | content |",
        "| --- | --- |",
        *(f"| `{name}` | {text} |" for name, text in COLUMN_TEXTS.items()),
        "",
    ]
    if description.get("details"):
        lines += [
            "The other columns are the details of the run about the answer, such as `raw` and `seed`.",
            "",
        ]
    licence = description["licence"] or "not stated; fill in `licence` in `export.json` and export again"
    return [*lines, f"Licence: {licence}. The pictures have the terms of their sources."]


def list_parts(files: dict[str, int]) -> dict[str, int]:
    """The rows of each split, by the names of its files."""
    parts: dict[str, int] = {}
    for name, rows in files.items():
        part = name.rpartition("/")[2].partition("-")[0]
        parts[part] = parts.get(part, 0) + rows
    return parts


def list_run_values(description: Json, key: str) -> list[str]:
    """The values of the key in the settings of the runs, each once."""
    values: list[Any] = [run["settings"].get(key) for run in description["runs"]]
    return list(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def describe_licence(text: str) -> list[str]:
    name = text.strip().lower()
    if not name:
        return []
    if LICENCE_NAME.fullmatch(name):
        return [f"license: {name}"]
    return ["license: other", f"license_name: {json.dumps(text.strip(), ensure_ascii=False)}"]


def name_size(rows: int) -> str:
    for number, limit in enumerate(SIZES):
        if rows < limit:
            return f"{SIZE_NAMES[number - 1]}<n<{SIZE_NAMES[number]}" if number else "n<1K"
    return "n>1B"
