"""Reads all rows of an input with their pictures, and prints how many there are.

usage: read_rows.py INPUT IMAGE_KEY
"""

from __future__ import annotations

import sys
from pathlib import Path

from persqa_client.images.references import read_reference
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import list_sources
from persqa_client.types import START_POSITION, Row


def read_all(name: str, image_key: str) -> tuple[int, int]:
    """The numbers of rows and of bytes of pictures."""
    source = open_inputs([name], image_key)
    roots = list(dict.fromkeys(each.path.parent for each in list_sources(source) if isinstance(each, FileSource)))
    rows = size = 0
    for line, position in source.lines(START_POSITION):
        row = parse_line(position.number, line, image_key=image_key, output_key="pers_qa")
        assert isinstance(row, Row), row
        size += sum(len(read_reference(each, roots or [Path()])) for each in row.images)
        rows += 1
    return rows, size


if __name__ == "__main__":
    rows, size = read_all(sys.argv[1], sys.argv[2])
    print(f"{rows} rows, {size} bytes", flush=True)
