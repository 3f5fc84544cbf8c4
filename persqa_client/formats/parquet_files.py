"""Writes rows with their pictures into Parquet files. Needs pyarrow; ``parquet.py`` has the rules of the readers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from persqa_client.formats.content_blocks import make_block_messages, text_block
from persqa_client.formats.layout import ExportRow, RowFiles
from persqa_client.formats.packed_rows import NUMBER, TEXT, TEXTS, count_text, list_columns, make_columns
from persqa_client.types import Json

FOLDER = "data"
ROW_GROUP_BYTES = 32_000_000
FILE_BYTES = 500_000_000
# Bytes that a row counts without texts and pictures, so that groups of empty rows end, too.
ROW_BYTES = 64
PICTURES, MESSAGES = "images", "messages"
TEXT_FEATURE = {"dtype": "string", "_type": "Value"}
MESSAGE_FEATURES = [{"role": TEXT_FEATURE, "content": [{"type": TEXT_FEATURE, "text": TEXT_FEATURE}]}]


class ParquetFiles(RowFiles):
    """Writes the parts into files of bounded size, each in row groups of bounded size."""

    def __init__(
        self,
        folder: Path,
        parts: Sequence[str],
        *,
        details: bool,
        group_bytes: int = ROW_GROUP_BYTES,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        schema = make_schema(details=details)
        self._details = details
        (folder / FOLDER).mkdir()
        self._parts = {part: ParquetPart(schema, folder / FOLDER / part, group_bytes, file_bytes) for part in parts}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for part in self._parts.values():
            if kind is None:
                part.finish()
            part.close()

    def append(self, part: str, row: ExportRow) -> None:
        columns = {
            name: replace_halves(value) for name, value in make_columns(row.record, details=self._details).items()
        }
        size = ROW_BYTES + count_text(columns) + sum(len(picture.data) for picture in row.pictures)
        places: list[Json] = [{"type": "image"} for _ in row.pictures]
        columns[PICTURES] = [{"bytes": picture.data, "path": picture.name} for picture in row.pictures]
        columns[MESSAGES] = make_block_messages(places, columns["question"], [text_block(columns["answer"])])
        self._parts[part].append(columns, size)

    def count_rows(self) -> dict[str, int]:
        return {f"{FOLDER}/{name}": rows for part in self._parts.values() for name, rows in part.counts.items()}


class ParquetPart:
    """The files of one part. Their number is only known at the end, and they get their names then."""

    def __init__(self, schema: Any, path: Path, group_bytes: int, file_bytes: int) -> None:
        """``path``: the files are beside it, and their names begin like its own."""
        self._schema = schema
        self._begin = path
        self._group_bytes, self._file_bytes = group_bytes, file_bytes
        self._rows: list[Json] = []
        self._size = 0
        self._file: Any = None
        self._writer: Any = None
        # Rows of each file.
        self._counts: list[int] = []
        self.counts: dict[str, int] = {}

    def append(self, columns: Json, size: int) -> None:
        self._rows.append(columns)
        self._size += size
        if self._size >= self._group_bytes:
            self._write_group()

    def finish(self) -> None:
        """A part without rows also gets a file, so that the split exists."""
        if self._rows or not self._counts:
            self._write_group()
        self.close()
        count = len(self._counts)
        for number, rows in enumerate(self._counts):
            path = self._begin.with_name(f"{self._begin.name}-{number:05}-of-{count:05}.parquet")
            self._path(number).rename(path)
            self.counts[path.name] = rows

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._writer = self._file = None

    def _path(self, number: int) -> Path:
        return self._begin.with_name(f"{self._begin.name}-{number:05}.writing")

    def _write_group(self) -> None:
        if self._writer is None:
            self._file = self._path(len(self._counts)).open("wb")
            self._counts.append(0)
            self._writer = self._open_writer()
        if self._rows:
            table = arrow.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table, row_group_size=len(self._rows))
        self._counts[-1] += len(self._rows)
        self._rows, self._size = [], 0
        if self._file.tell() >= self._file_bytes:
            self.close()

    def _open_writer(self) -> Any:
        """Pictures are compressed already, and a dictionary or statistics of them would be copies."""
        leaves = [path for field in self._schema for path in list_leaves(field.type, field.name)]
        others = [path for path in leaves if path != f"{PICTURES}.list.element.bytes"]
        codecs = {path: "snappy" if path in others else "none" for path in leaves}
        return parquet.ParquetWriter(
            self._file, self._schema, compression=codecs, use_dictionary=others, write_statistics=others
        )


def make_schema(*, details: bool) -> Any:
    text = arrow.string()
    types = {TEXT: text, TEXTS: arrow.list_(text), NUMBER: arrow.int64()}
    features: Json = {TEXT: TEXT_FEATURE, TEXTS: [TEXT_FEATURE], NUMBER: {"dtype": "int64", "_type": "Value"}}
    block = arrow.struct([("type", text), ("text", text)])
    columns = {
        "id": (text, TEXT_FEATURE),
        PICTURES: (arrow.list_(arrow.struct([("bytes", arrow.binary()), ("path", text)])), [{"_type": "Image"}]),
        MESSAGES: (arrow.list_(arrow.struct([("role", text), ("content", arrow.list_(block))])), MESSAGE_FEATURES),
    }
    columns |= {name: (types[kind], features[kind]) for name, kind in list_columns(details=details).items()}
    info = {"info": {"features": {name: feature for name, (_, feature) in columns.items()}}}
    return arrow.schema([(name, type) for name, (type, _) in columns.items()], {"huggingface": json.dumps(info)})


def list_leaves(type: Any, path: str) -> list[str]:
    """The names of a column's parts in a file, by the Parquet format's rule for lists."""
    if arrow.types.is_list(type):
        return list_leaves(type.value_type, f"{path}.list.element")
    if arrow.types.is_struct(type):
        return [leaf for field in type.fields for leaf in list_leaves(field.type, f"{path}.{field.name}")]
    return [path]


def replace_halves(value: Any) -> Any:
    """Texts without halves of surrogate pairs, which UTF-8 can't hold: they are written as escapes."""
    if isinstance(value, list):
        return [replace_halves(each) for each in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
