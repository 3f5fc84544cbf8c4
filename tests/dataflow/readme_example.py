"""The README's example for people who come from DataFlow, as it stands there, and rows for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

MODEL = '"Qwen/Qwen2.5-VL-3B-Instruct"'
ROWS: list[dict[str, Any]] = [
    {"image": [f"./{name}.png"], "conversation": [{"from": "human", "value": "Any content"}]} for name in ("a", "b")
]


def example() -> str:
    section = (Path(__file__).parents[2] / "persqa_client/dataflow/README.md").read_text(encoding="utf-8")
    return section.split("```python")[1].split("```")[0]


def write_rows(folder: Path) -> None:
    (folder / "sample_data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    for row, colour in zip(ROWS, ((200, 0, 0), (0, 0, 200)), strict=True):
        Image.new("RGB", (56, 56), colour).save(folder / row["image"][0])


def read_output(folder: Path) -> list[str | None]:
    """What was added to each row; nothing else of it may have changed."""
    written = json.loads((folder / "cache_local" / "pers_qa_res_step1.json").read_text())
    assert [{key: row[key] for key in ROWS[0]} for row in written] == ROWS
    return [row["pers_qa"] for row in written]
