"""Data frames as files, in each of DataFlow's formats. Reads and writes files; needs pandas.

JSON is read and written by Python's own module: pandas' would make dates of what looks like one, floats of whole
numbers that have a gap among them, and would cut floats to ten digits. Pictures in cells, which text has no form for,
become data: URIs in JSON and CSV.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from pickle import PickleError
from typing import Any

from persqa_client.dataflow.cells import as_text, in_one_text
from persqa_client.dataflow.columns import is_missing, plain
from persqa_client.dataflow.frames import put
from persqa_client.dataflow.pandas_extra import pandas
from persqa_client.errors import SettingsError, StorageError

Frame = Any


def read_json(path: Path) -> Frame:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))
    return frame_of(rows if isinstance(rows, list) else [rows])


def read_jsonl(path: Path) -> Frame:
    return frame_of(list(json_lines(path)))


def json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number} is not JSON ({error})") from error


def frame_of(rows: list[Any]) -> Frame:
    """Columns keep their values as they are, but those without gaps, which pandas may hold as numbers."""
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("its rows must be objects")
    frame = pandas.DataFrame(rows, dtype=object)
    whole = [key for key in frame.columns if frame[key].notna().all()]
    return frame.assign(**{key: frame[key].infer_objects() for key in whole})


def write_json(frame: Frame, path: Path) -> None:
    path.write_text(
        json.dumps(list(records_of(frame)), ensure_ascii=False, indent=2, default=as_text), encoding="utf-8"
    )


def write_jsonl(frame: Frame, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in records_of(frame):
            file.write(json.dumps(record, ensure_ascii=False, default=as_text) + "\n")


def write_csv(frame: Frame, path: Path) -> None:
    if frame.columns.is_unique:
        for key in (key for key in frame.columns if frame[key].dtype == object):
            frame = put(frame, key, [in_one_text(cell) for cell in frame[key]])
    frame.to_csv(path, index=False)


def records_of(frame: Frame) -> Iterator[dict[str, Any]]:
    for record in frame.to_dict(orient="records"):
        yield {str(key): None if is_missing(value) else plain(value) for key, value in record.items()}


READERS: dict[str, Callable[[Path], Frame]] = {
    "json": read_json,
    "jsonl": read_jsonl,
    "csv": lambda path: pandas.read_csv(path),
    "parquet": lambda path: pandas.read_parquet(path),
    "pickle": lambda path: pandas.read_pickle(path),
}
WRITERS: dict[str, Callable[[Frame, Path], None]] = {
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": lambda frame, path: frame.to_parquet(path),
    "pickle": lambda frame, path: frame.to_pickle(path),
}


def read_frame(path: Path, kind: str, advice: str) -> Frame:
    """Raises SettingsError where the file is not there, with the advice, or is not what its kind says."""
    if kind not in READERS:
        raise SettingsError(f"{path} is no file that can be read as a data frame: give one of {', '.join(READERS)}.")
    if not path.exists():
        raise SettingsError(f"There is no file {path}: {advice}.")
    try:
        return READERS[kind](path)
    except (ValueError, TypeError, OSError, EOFError, ImportError, PickleError) as error:
        raise SettingsError(f"{path} can't be read as {kind}: {first_line(error)}") from error


def write_frame(frame: Frame, path: Path, kind: str) -> None:
    """Writes beside the place and renames, so that no killed process leaves half a file. Raises StorageError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[kind](frame, beside)
        beside.replace(path)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise StorageError(f"{path} can't be written: {first_line(error)}") from error
    finally:
        with suppress(OSError):
            beside.unlink()


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."
