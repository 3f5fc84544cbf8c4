"""DataFlow's file storage: a data frame for each step of a pipeline, kept in a folder. Reads and writes files.

The same constructor, ``step()``, ``read()`` and ``write()`` as DataFlow's, for those who have no DataFlow.
"""

from __future__ import annotations

import copy
import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from persqa_client.dataflow.frame_files import WRITERS, first_line, read_frame, write_frame
from persqa_client.dataflow.pandas_extra import pandas
from persqa_client.errors import SettingsError

if TYPE_CHECKING:
    StorageBase = object
else:
    from persqa_client.dataflow.abcs import StorageBase

CacheType = Literal["json", "jsonl", "csv", "parquet", "pickle"]
REMOTE = {"hf": ("datasets", "load_dataset"), "ms": ("modelscope", "MsDataset")}

logger = logging.getLogger(__name__)


class FileStorage(StorageBase):
    """Reads its first frame from a file, or from a hub (``hf:NAME[:CONFIG]:SPLIT``, ``ms:NAME[:SPLIT]``); step n is
    kept as ``{cache_path}/{file_name_prefix}_step{n}.{cache_type}``.

    ``step()`` comes before each operator, as in DataFlow. Raises SettingsError where a file is not there or can't be
    read, StorageError where one can't be written.
    """

    def __init__(
        self,
        first_entry_file_name: str,
        cache_path: str = "./cache",
        file_name_prefix: str = "dataflow_cache_step",
        cache_type: CacheType = "jsonl",
    ) -> None:
        if cache_type not in WRITERS:
            raise SettingsError(f"cache_type is {cache_type!r}, but must be one of {', '.join(WRITERS)}.")
        self.first_entry_file_name = first_entry_file_name
        self.cache_path = cache_path
        self.file_name_prefix = file_name_prefix
        self.cache_type = cache_type
        self.operator_step = -1

    def step(self) -> Self:
        """Goes on to the next operator; gives a copy that stays at it, for who keeps several."""
        self.operator_step += 1
        return copy.copy(self)

    def reset(self) -> Self:
        self.operator_step = -1
        return self

    def get_keys_from_dataframe(self) -> list[str]:
        return list(self.read("dataframe").columns)

    def read(self, output_type: Literal["dataframe", "dict"] = "dataframe") -> Any:
        """What the step before wrote: a data frame, or its rows as dicts."""
        if output_type not in ("dataframe", "dict"):
            raise SettingsError(f"read() gives a 'dataframe' or a 'dict', not {output_type!r}.")
        frame = self._frame()
        return frame if output_type == "dataframe" else frame.to_dict(orient="records")

    def write(self, data: Any) -> str:
        """Writes a data frame, or a list of dicts, for the next step, and gives its path."""
        frame = data if isinstance(data, pandas.DataFrame) else pandas.DataFrame(data)
        path = self._path(self.operator_step + 1)
        write_frame(frame, path, self.cache_type)
        logger.info("Wrote %d rows to %s.", len(frame), path)
        return str(path)

    def _frame(self) -> Any:
        source = self.first_entry_file_name
        if self.operator_step != 0:
            path = self._path(self.operator_step)
            return read_frame(path, self.cache_type, "run the step before it first")
        if not source:
            return pandas.DataFrame()
        if source.partition(":")[0] in REMOTE:
            return read_remote(source)
        return read_frame(Path(source), Path(source).suffix.removeprefix("."), "give the path of your data")

    def _path(self, step: int) -> Path:
        if self.operator_step < 0:
            raise SettingsError("Call storage.step() before each operator: it has not been called yet.")
        return Path(self.cache_path) / f"{self.file_name_prefix}_step{step}.{self.cache_type}"


def read_remote(source: str) -> Any:
    """``hf:NAME:SPLIT``, ``hf:NAME:CONFIG:SPLIT`` or ``ms:NAME:SPLIT``; without a split it is ``train``."""
    kind, name, *parts = source.split(":")
    module, entry = REMOTE[kind]
    try:
        load = getattr(import_module(module), entry)
    except ImportError as error:
        raise SettingsError(f"{source} is read by the package {module}: pip install {module}") from error
    try:
        return (from_hub if kind == "hf" else from_modelscope)(load, name, parts)
    except Exception as error:
        # Whatever a foreign package raises for a name that it does not know, or a network that is not there.
        raise SettingsError(f"{source} can't be read by {module}: {first_line(error)}") from error


def from_hub(load: Any, name: str, parts: list[str]) -> Any:
    *config, split = parts or ["train"]
    return load(name, *config, split=split).to_pandas()


def from_modelscope(load: Any, name: str, parts: list[str]) -> Any:
    return pandas.DataFrame(load.load(name, split=parts[0] if parts else "train"))
