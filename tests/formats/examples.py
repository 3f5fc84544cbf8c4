"""Records and runs that the tests of the layouts share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from persqa_client.outcomes import Outcome
from persqa_client.records.data_record import DataRecord
from tests.report.runs import WrittenRun, make_record

ONE_PICTURE = DataRecord("qa-1", ("images/a.jpg",), "What does <mam> hold?", "<mam> holds a cup.")
SEVERAL_PICTURES = DataRecord(
    "qa-2", ("images/front.jpg", "images/back 2.png"), "<mam>穿着什么？", '<mam>穿着一件印有"A"的外套。'
)
NO_PICTURE = DataRecord("qa-3", (), "Who is <mam>?", "<mam> is a cat.\nIt is grey.")
# For the formats of personalised models.
NO_REFERENCE = replace(ONE_PICTURE, tags=("<mam>",))
CHARACTER = replace(
    NO_REFERENCE,
    id="qa-4",
    images=("images/b.jpg",),
    category="animal",
    reference="images/mam.png",
    description="<mam> is a grey cat.",
)
CHARACTERS = (NO_REFERENCE, CHARACTER)
EXAMPLES = (ONE_PICTURE, SEVERAL_PICTURES, NO_PICTURE)
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def draw_picture(path: Path, seed: int, size: tuple[int, int] = (96, 72), **options: Any) -> None:
    """Pictures of different seeds are no near duplicates of each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = Image.new("RGB", (6, 6))
    state = seed * 2654435761 % 2**32 or 1
    pixels = []
    for _ in range(36):
        state = (state * 1664525 + 1013904223) % 2**32
        pixels.append((state >> 24, state >> 16 & 255, state >> 8 & 255))
    grid.putdata(pixels)
    grid.resize(size, Image.Resampling.BICUBIC).save(path, **options)


def write_run(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    name: str = "qa.jsonl",
    outcomes: Sequence[Outcome] | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """A finished run with an accepted answer for each row, and a picture for each path that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        images = row["image"] if isinstance(row["image"], list) else [row["image"]]
        for image in images:
            if not image.startswith(("data:", "missing")) and "#" not in image and not (folder / image).exists():
                draw_picture(folder / image, sum(map(ord, image)))
    answers = outcomes or [make_record(number, f"<mam> holds {number} cups.") for number in range(1, len(rows) + 1)]
    return WrittenRun(folder, name, settings=settings or {}).finish(answers, dict(enumerate(rows, 1)))


def make_rows(count: int) -> list[dict[str, Any]]:
    return [{"image": [f"{number}.png"]} for number in range(1, count + 1)]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Of an array, or of lines."""
    text = path.read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = (
        json.loads(text) if path.suffix == ".json" else list(map(json.loads, text.splitlines()))
    )
    return rows


def list_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
