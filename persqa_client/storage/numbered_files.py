"""Keeps the files of a finished run under a number, when a fresh run takes their names: ``qa.1.jsonl`` and so on."""

from __future__ import annotations

import json
import os
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.jsonl import load_object
from persqa_client.storage.durable import (
    get_file_size,
    move_if_present,
    read_if_present,
    remove_if_present,
    replace_file,
    sync_folder,
)
from persqa_client.storage.run_files import RunFiles, remove_suffix


def number_files(files: RunFiles, number: int) -> RunFiles:
    """Those of a run with the output ``qa.1.jsonl``."""
    name = files.output.name
    stem = remove_suffix(name)
    return RunFiles.for_output(files.output.with_name(f"{stem}.{number}{name[len(stem) :]}"))


def find_free_number(files: RunFiles) -> int:
    """The first number that no file has. Raises SettingsError if a name with a number is too long."""
    number = 1
    while any(get_file_size(path) is not None for path in number_files(files, number).all_paths()):
        number += 1
    return number


def has_results(files: RunFiles) -> bool:
    return any(get_file_size(path) is not None for path in (files.output, files.failed, files.details))


def keep_numbered(files: RunFiles, number: int) -> None:
    """Moves the results and the run file. Can be repeated after a crash, until a new run has written its own."""
    kept = number_files(files, number)
    for source, target in (
        (files.details, kept.details),
        (files.failed, kept.failed),
        (files.output, kept.output),
        (files.listing, kept.listing),
    ):
        if get_file_size(source) is not None and get_file_size(target) is not None:
            raise taken_name_error(target)
        move_if_present(source, target)
    _move_run_file(files.run, kept.run, kept.output.name)
    sync_folder(files.output.parent)


def _move_run_file(source: Path, target: Path, output: str) -> None:
    """The run file names its output."""
    data = read_if_present(source)
    if data is None:
        return
    fields = load_object(data) | {"output": output}
    text = json.dumps(fields, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace") + b"\n"
    if read_if_present(target) not in (None, text):
        raise taken_name_error(target)
    replace_file(target, text)
    remove_if_present(source)


def taken_name_error(path: Path) -> SettingsError:
    return SettingsError(f"{os.fspath(path)} exists, but the files of the earlier run are to get this name: move it")
