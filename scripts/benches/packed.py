"""Parquet files and tar archives of many rows with their pictures, out and in, beside JSONL with files."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

import persqa_client
from benches.common import SIMULATED_MODEL, Figure, measure_success, persqa, run_simulator, write_rows

ROWS, MEMORY_BAR = 100_000, 600
# One in so many rows is answered.
ASKED_PART = 20
# Longer side of a picture; 15 KB.
SIDE = 320
PER_FOLDER = 1000
SAMPLES = sorted((Path(persqa_client.__file__).parent / "samples").glob("*.jpg"))
READER = Path(__file__).parent / "read_rows.py"


def measure(folder: Path, *, count: int = ROWS) -> Iterator[Figure]:
    shutil.rmtree(folder)
    folder.mkdir()
    rows = write_rows(folder / "rows.jsonl", make_small_pictures(folder / "photos", count))
    asked = max(1, count // ASKED_PART)
    output = folder / "qa.jsonl"
    with run_simulator("--latency", 0) as (url, _):
        run = ("--base-url", url, "--model", SIMULATED_MODEL, "--quiet", "--limit", str(asked), "-o")
        yield measure_rows("run from JSONL", persqa("run", rows, *run, output), asked)
        answer_rest(rows, output, asked)
        for layout in ("jsonl", "llava", "parquet", "webdataset"):
            command = persqa("export", output, "--to", layout, "-o", folder / layout, "--quiet")
            yield measure_rows(f"export to {layout}", command, count)
        shutil.rmtree(folder / "llava")
        packed = (("Parquet", folder / "parquet", "images"), ("tar", folder / "webdataset", "image"))
        for name, place, key in (("JSONL", rows, "image"), *packed):
            yield measure_rows(f"read from {name}, with the pictures", (sys.executable, READER, place, key), count)
        for name, place, key in packed:
            command = persqa("run", place, "--image-key", key, *run, folder / f"{name}.jsonl")
            yield measure_rows(f"run from {name}", command, asked)


def answer_rest(rows: Path, output: Path, asked: int) -> None:
    """Adds lines to the output as if all rows were asked, which would take long. All have one answer."""
    with output.open("r+b") as file, rows.open("rb") as lines:
        answer = json.loads(file.readline())["pers_qa"]
        file.seek(0, os.SEEK_END)
        for line in islice(lines, asked, None):
            file.write(json.dumps(json.loads(line) | {"pers_qa": answer}).encode() + b"\n")


def measure_rows(what: str, command: Sequence[str | Path], count: int) -> Figure:
    cost = measure_success(command)
    value = f"{count / cost.wall:,.0f} rows/s, {cost.peak:.0f} MB"
    return Figure(f"{what}, {count:,} rows", value, f"< {MEMORY_BAR} MB", cost.peak < MEMORY_BAR)


def make_small_pictures(folder: Path, count: int) -> list[Path]:
    """Different files: each has its number in a comment."""
    encoded = list(map(shrink, SAMPLES))
    paths = []
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:03}" / f"{number:06}.jpg"
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        data = encoded[number % len(encoded)]
        comment = f"{number:08}".encode()
        # Behind the first marker: the length counts itself.
        path.write_bytes(data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + data[2:])
        paths.append(path)
    return paths


def shrink(path: Path) -> bytes:
    image = Image.open(path).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
