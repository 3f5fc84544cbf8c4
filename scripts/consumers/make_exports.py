"""Makes the exports that the loaders of consumers read, of a run on the simulator.

usage: make_exports.py FOLDER

Each export is a folder below FOLDER. ``expected.json`` has by its name what a consumer must find in it: of each row the
sizes of the pictures, the question and the answer.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

import persqa_client
from persqa_client import generate
from persqa_client.formats.export import ExportSettings, export_runs
from persqa_client.images.references import read_reference
from persqa_client.records.data_record import DataRecord
from persqa_client.simulator.server import SimSettings, run_simulator

SAMPLES = Path(persqa_client.__file__).parent / "samples"
# The pictures of this row are left out of the exports: a row of text alone among the others.
TEXT_ONLY = "text-only"
Chooses = Callable[[DataRecord], bool]


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    output = make_run(folder / "run")
    expected = {name: make_export(output, folder / name, *settings) for name, settings in EXPORTS.items()}
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1), encoding="utf-8")


def make_run(folder: Path) -> Path:
    """The samples, several pictures in a row, and pictures that a consumer may decode in its own way."""
    shutil.copytree(SAMPLES, folder)
    rows = [json.loads(line) for line in (folder / "demo.jsonl").read_text(encoding="utf-8").splitlines()]
    with Image.open(folder / "cat.jpg") as cat:
        cat.convert("RGBA").resize((90, 60)).save(folder / "背面 2.png")
        cat.convert("L").resize((80, 120)).save(folder / "grey.webp")
        cat.convert("P").resize((64, 48)).save(folder / "palette.gif")
        exif = Image.Exif()
        exif[0x0112] = 6
        cat.resize((96, 60)).save(folder / "turned.jpg", exif=exif)
    inline = base64.b64encode((folder / "grey.webp").read_bytes()).decode()
    further: list[dict[str, Any]] = [
        {"image": ["cat.jpg", "背面 2.png"], "question": "What do both pictures of <bo> show?", "tag": "bo"},
        {"image": ["grey.webp", "palette.gif", "cat.jpg"], "question": "<mam> 在哪里？", "category": "animal"},
        {"image": ["cat.jpg", "cat.jpg"], "question": "Is <mam> in both pictures?"},
        {"image": ["turned.jpg"], "question": 'What does "<mam>" see?\nAnswer with a \\ and 😀.'},
        {"image": [f"data:image/webp;base64,{inline}"], "question": "What is behind <mam>?"},
        {"image": "rocket.jpg", "question": "Who is <mam>?", "id": TEXT_ONLY},
        {"image": "flower.jpg", "question": "How many petals does <mam> have?"},
    ]
    rows[4:4] = further
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with run_simulator(SimSettings(latency=0)) as simulator:
        summary = generate(folder / "rows.jsonl", folder / "qa.jsonl", base_url=simulator.base_url)
    assert summary.tally.succeeded == len(rows), dict(summary.tally.failed)
    return folder / "qa.jsonl"


def is_any(record: DataRecord) -> bool:
    return True


def has_one_picture(record: DataRecord) -> bool:
    return len(record.images) == 1


def has_one_jpeg(record: DataRecord) -> bool:
    return has_one_picture(record) and record.images[0].endswith(".jpg")


# By the name of the folder: the format, the choice of pictures, whether they are as sent, and the rows.
EXPORTS: dict[str, tuple[str, Any, bool, Chooses]] = {
    **{name: (name, None, False, is_any) for name in ("llava", "llamafactory", "swift", "trl", "axolotl", "openai")},
    **{f"{name}-embed": (name, "embed", False, is_any) for name in ("swift", "axolotl")},
    **{f"{name}-sent": (name, None, True, is_any) for name in ("llamafactory", "swift", "trl", "axolotl")},
    **{name: (name, None, False, is_any) for name in ("parquet", "webdataset")},
    "webdataset-alike": ("webdataset", None, False, has_one_jpeg),
    "captions": ("captions", None, False, has_one_picture),
}
# Formats that take JPEG, PNG and WebP only.
ONLY_WEB_PICTURES = frozenset({"openai"})


def make_export(output: Path, target: Path, name: str, pictures: Any, sent: bool, chooses: Chooses) -> list[Any]:
    """Makes an export, and the data that a consumer must find."""
    rows: list[Any] = []

    def decide(record: DataRecord, path: Path) -> DataRecord | None:
        if record.id == TEXT_ONLY:
            record = replace(record, images=())
        is_taken = not (name in ONLY_WEB_PICTURES and any(each.endswith(".gif") for each in record.images))
        if not chooses(record) or not is_taken:
            return None
        sizes = [measure_picture(each, output.parent) for each in record.images]
        found = {"pictures": len(sizes), "sizes": None if sent else sizes}
        rows.append({**found, "question": record.question, "answer": record.answer})
        return record

    report = export_runs([output], ExportSettings(name, target, pictures, sent), decide)
    assert report.row_count == len(rows), (name, report.left_out, report.examples)
    return rows


def measure_picture(reference: str, folder: Path) -> list[int]:
    """The sides of the file, shorter one first: some consumers turn pictures upright."""
    with Image.open(io.BytesIO(read_reference(reference, [folder]))) as image:
        return sorted(image.size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
