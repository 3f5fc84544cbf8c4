"""DataFlow's FileStorage, without DataFlow: a folder with one data frame per pipeline step."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pickle import PickleError
from typing import TYPE_CHECKING, Any, Literal, Self

from persqa_client.dataflow.cells import image_cell_to_text, is_missing, to_plain_python, value_to_text
from persqa_client.dataflow.frames import pandas, with_column
from persqa_client.errors import SettingsError, StorageError

if TYPE_CHECKING:
    StorageBase = object
else:
    from persqa_client.dataflow.base import StorageBase


# JSON uses Python's json: pandas converts date-like text to dates and integers with gaps to floats, and cuts floats to
# ten digits. Embedded images become data URIs in JSON and CSV.

Frame = Any


def read_json(path: Path) -> Frame:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))
    return make_frame(rows if isinstance(rows, list) else [rows])


def read_jsonl(path: Path) -> Frame:
    return make_frame(list(iter_json_values(path)))


def iter_json_values(path: Path) -> Iterator[Any]:
    # A carriage return between the parts of a line is white space.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number} is not JSON ({error})") from error


def make_frame(rows: list[Any]) -> Frame:
    """Keeps values unchanged; pandas infers types only of columns without gaps."""
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("its rows must be objects")
    frame = pandas.DataFrame(rows, dtype=object)
    whole = [key for key in frame.columns if frame[key].notna().all()]
    return frame.assign(**{key: frame[key].infer_objects() for key in whole})


def write_json(frame: Frame, path: Path) -> None:
    path.write_text(
        json.dumps(list(iter_records(frame)), ensure_ascii=False, indent=2, default=value_to_text), encoding="utf-8"
    )


def write_jsonl(frame: Frame, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in iter_records(frame):
            file.write(json.dumps(record, ensure_ascii=False, default=value_to_text) + "\n")


def write_csv(frame: Frame, path: Path) -> None:
    if frame.columns.is_unique:
        for key in (key for key in frame.columns if frame[key].dtype == object):
            frame = with_column(frame, key, [image_cell_to_text(cell) for cell in frame[key]])
    frame.to_csv(path, index=False)


def iter_records(frame: Frame) -> Iterator[dict[str, Any]]:
    for record in frame.to_dict(orient="records"):
        yield {str(key): None if is_missing(value) else to_plain_python(value) for key, value in record.items()}


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
    if kind not in READERS:
        raise SettingsError(f"{path} can't be read as a data frame: pass a file of type {', '.join(READERS)}.")
    if not path.exists():
        raise SettingsError(f"The file {path} does not exist: {advice}.")
    try:
        return READERS[kind](path)
    except (ValueError, TypeError, OSError, EOFError, ImportError, PickleError) as error:
        raise SettingsError(f"{path} can't be read as {kind}: {first_line_of(error)}") from error


def write_frame(frame: Frame, path: Path, kind: str) -> None:
    """Renames a temporary file, so that a killed process leaves no partial file. Raises StorageError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[kind](frame, beside)
        beside.replace(path)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise StorageError(f"{path} can't be written: {first_line_of(error)}") from error
    finally:
        with suppress(OSError):
            beside.unlink()


def first_line_of(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."


CacheType = Literal["json", "jsonl", "csv", "parquet", "pickle"]
REMOTE = {"hf": ("datasets", "load_dataset"), "ms": ("modelscope", "MsDataset")}

logger = logging.getLogger(__name__)


class FileStorage(StorageBase):
    """Keeps step n as ``{cache_path}/{file_name_prefix}_step{n}.{cache_type}``.

    ``first_entry_file_name`` is a file, or a data set on a hub (``hf:NAME[:CONFIG]:SPLIT``, ``ms:NAME[:SPLIT]``). Call
    ``step()`` before each operator.
    """

    def __init__(
        self,
        first_entry_file_name: str,
        cache_path: str = "./cache",
        file_name_prefix: str = "dataflow_cache_step",
        cache_type: CacheType = "jsonl",
    ) -> None:
        if cache_type not in WRITERS:
            raise SettingsError(f"cache_type must be one of {', '.join(WRITERS)}, not {cache_type!r}.")
        self.first_entry_file_name = first_entry_file_name
        self.cache_path = cache_path
        self.file_name_prefix = file_name_prefix
        self.cache_type = cache_type
        self.operator_step = -1

    def step(self) -> Self:
        """Advances to the next operator, and returns a copy at this step."""
        self.operator_step += 1
        return copy.copy(self)

    def reset(self) -> Self:
        self.operator_step = -1
        return self

    def get_keys_from_dataframe(self) -> list[str]:
        return list(self.read("dataframe").columns)

    def read(self, output_type: Literal["dataframe", "dict"] = "dataframe") -> Any:
        if output_type not in ("dataframe", "dict"):
            raise SettingsError(f"output_type must be 'dataframe' or 'dict', not {output_type!r}.")
        frame = self._frame()
        return frame if output_type == "dataframe" else frame.to_dict(orient="records")

    def write(self, data: Any) -> str:
        """Returns the path."""
        frame = data if isinstance(data, pandas.DataFrame) else pandas.DataFrame(data)
        path = self._path(self.operator_step + 1)
        write_frame(frame, path, self.cache_type)
        logger.info("Wrote %d rows to %s.", len(frame), path)
        return str(path)

    def _frame(self) -> Any:
        source = self.first_entry_file_name
        if self.operator_step != 0:
            path = self._path(self.operator_step)
            return read_frame(path, self.cache_type, "run the previous step first")
        if not source:
            return pandas.DataFrame()
        if source.partition(":")[0] in REMOTE:
            return read_remote(source)
        return read_frame(Path(source), Path(source).suffix.removeprefix("."), "check first_entry_file_name")

    def _path(self, step: int) -> Path:
        if self.operator_step < 0:
            raise SettingsError("Call storage.step() before each operator.")
        return Path(self.cache_path) / f"{self.file_name_prefix}_step{step}.{self.cache_type}"


def read_remote(source: str) -> Any:
    """``hf:NAME:SPLIT``, ``hf:NAME:CONFIG:SPLIT`` or ``ms:NAME:SPLIT``; the default split is ``train``."""
    kind, name, *parts = source.split(":")
    module, entry = REMOTE[kind]
    try:
        load = getattr(import_module(module), entry)
    except ImportError as error:
        raise SettingsError(f"{source} needs the package {module}: pip install {module}") from error
    try:
        return (load_from_hub if kind == "hf" else load_from_modelscope)(load, name, parts)
    except Exception as error:
        # Third-party packages may raise anything for unknown names or network errors.
        raise SettingsError(f"{source} can't be read by {module}: {first_line_of(error)}") from error


def load_from_hub(load: Any, name: str, parts: list[str]) -> Any:
    *config, split = parts or ["train"]
    return load(name, *config, split=split).to_pandas()


def load_from_modelscope(load: Any, name: str, parts: list[str]) -> Any:
    return pandas.DataFrame(load.load(name, split=parts[0] if parts else "train"))
