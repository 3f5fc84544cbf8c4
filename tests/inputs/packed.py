"""Files of rows with their pictures, as other tools write them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
from PIL import Image
from pyarrow import ipc, parquet

PICTURE = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])


def make_png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (48, 40), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def make_picture(shade: int) -> dict[str, Any]:
    return {"bytes": make_png(shade), "path": f"{shade}.png"}


def make_table(count: int, *, is_list: bool = True) -> arrow.Table:
    """Rows of one picture each, of the shade of the row's number."""
    pictures = [make_picture(number) for number in range(1, count + 1)]
    cells = [[picture] for picture in pictures] if is_list else pictures
    type = arrow.list_(PICTURE) if is_list else PICTURE
    return arrow.table({"id": list(range(1, count + 1)), "image": arrow.array(cells, type)})


def write_parquet(path: Path, table: arrow.Table, group_rows: int = 1_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=group_rows)
    return path


def write_arrow(path: Path, table: arrow.Table, batch_rows: int = 2) -> Path:
    """A stream, as ``save_to_disk`` writes it."""
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return path


def write_tar(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def make_samples(count: int) -> list[tuple[str, bytes]]:
    return [
        file
        for number in range(1, count + 1)
        for file in ((f"{number:03}.png", make_png(number)), (f"{number:03}.json", json.dumps({"id": number}).encode()))
    ]
