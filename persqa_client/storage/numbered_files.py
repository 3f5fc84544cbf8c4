"""Keeps the files of an earlier run under a number, when a fresh run takes their names, and says whose a file is.

``qa.jsonl``, ``qa.1.jsonl``, ``qa.1.2.jsonl`` and ``qa.shard-001-of-012.jsonl`` are outputs of one family. A name
alone says nothing: a user's own files may be numbered as well, so a run has to have left its run file or its checkpoint
there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.jsonl import load_object
from persqa_client.storage.checkpoint import Checkpoint, hide_identity, read_checkpoint, read_run_file, write_checkpoint
from persqa_client.storage.durable import (
    get_file_size,
    move_if_present,
    read_if_present,
    remove_if_present,
    replace_file,
    sync_folder,
)
from persqa_client.storage.journal import next_free_generation, remove_generations
from persqa_client.storage.run_files import RunFiles, may_be_linked, remove_suffix
from persqa_client.storage.timeline_file import move_timeline

# Ends of the names of shards, which lie beside the output of the run that merges them, and of earlier runs.
NUMBERS = re.compile(r"(?:\.shard-\d+-of-\d+)?(?:\.\d+)*$")


def number_files(files: RunFiles, number: int) -> RunFiles:
    """The files of a run with the output ``qa.1.jsonl``."""
    name = files.output.name
    stem = remove_suffix(name)
    return RunFiles.for_output(files.output.with_name(f"{stem}.{number}{name[len(stem) :]}"))


def find_free_number(files: RunFiles, generations: Iterable[int] = ()) -> int:
    """The first number that no file has, with these generations of the journal.

    Raises SettingsError if a name with a number is too long.
    """
    number = 1
    while _has_files(number_files(files, number), generations):
        number += 1
    return number


def _has_files(files: RunFiles, generations: Iterable[int]) -> bool:
    paths = (*files.all_paths(), *map(files.journal_generation, generations))
    return any(get_file_size(path) is not None for path in paths)


def has_results(files: RunFiles) -> bool:
    return any(get_file_size(path) is not None for path in (files.output, files.failed, files.details))


def keep_numbered(files: RunFiles, number: int) -> None:
    """Moves a finished run. Can be repeated after a crash, until a new run has written its own files."""
    _move_finished(files, number_files(files, number))
    sync_folder(files.output.parent)


def _move_finished(files: RunFiles, kept: RunFiles) -> None:
    _move_file(files.details, kept.details)
    _move_file(files.failed, kept.failed)
    _move_file(files.output, kept.output)
    _move_file(files.listing, kept.listing)
    move_timeline(files.timeline, kept.timeline)
    _move_described(files, kept)


def _move_described(files: RunFiles, kept: RunFiles) -> None:
    """What is about results that have just been moved."""
    _move_file(files.decisions, kept.decisions)
    _move_run_file(files.run, kept.run, kept.output.name)


def keep_unfinished(files: RunFiles, checkpoint: Checkpoint) -> RunFiles:
    """Moves an unfinished run, which can be resumed under its new name. Returns its files."""
    remove_generations(files, checkpoint.generation - 1)
    generations = range(checkpoint.generation, next_free_generation(files, checkpoint.generation))
    kept = number_files(files, find_free_number(files, generations))
    keeping = replace(checkpoint, phase="keeping", kept_as=kept.output.name)
    write_checkpoint(files, keeping)
    complete_keeping(files, keeping)
    return kept


def complete_keeping(files: RunFiles, checkpoint: Checkpoint) -> Checkpoint | None:
    """Moves what is left of an unfinished run. Can be repeated after a crash.

    A retry needs the finished run that it repeats, which is moved as well. The finished run that a fresh one would have
    replaced stays, with its decisions.

    Returns the run that is left at this output: None, unless it is the one that was moved here.
    """
    if checkpoint.kept_as in (None, files.output.name):
        return replace(checkpoint, phase="running", kept_as=None)
    kept = RunFiles.for_output(files.output.with_name(checkpoint.kept_as))
    # Newest generation first, so that those left after a crash start at ``checkpoint.generation`` without a gap.
    for number in reversed(range(checkpoint.generation, next_free_generation(files, checkpoint.generation))):
        _move_file(files.journal_generation(number), kept.journal_generation(number))
    _move_file(files.details_partial, kept.details_partial)
    _move_file(files.failed_partial, kept.failed_partial)
    _move_file(files.partial, kept.partial)
    _move_file(files.listing_partial, kept.listing_partial)
    move_timeline(files.timeline_partial, kept.timeline_partial)
    if checkpoint.before is not None:
        _move_finished(files, kept)
    elif not has_results(files):
        _move_described(files, kept)
    sync_folder(files.output.parent)
    # The checkpoint is moved last, because it says where the other files are.
    _move_file(files.checkpoint, kept.checkpoint)
    sync_folder(files.output.parent)
    return None


def _move_file(source: Path, target: Path) -> None:
    if get_file_size(source) is not None and get_file_size(target) is not None:
        raise taken_name_error(target)
    move_if_present(source, target)


def _move_run_file(source: Path, target: Path, output: str) -> None:
    """The run file names its output."""
    data = read_if_present(source)
    if data is None:
        return
    fields = load_object(data) | {"output": output}
    if isinstance(fields.get("identity"), dict):
        fields["identity"] = hide_identity(fields["identity"])
    text = json.dumps(fields, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace") + b"\n"
    if read_if_present(target) not in (None, text):
        raise taken_name_error(target)
    replace_file(target, text)
    remove_if_present(source)


def taken_name_error(path: Path) -> SettingsError:
    return SettingsError(f"{os.fspath(path)} exists, but the files of the earlier run are to get this name: move it")


class OwnFiles:
    """Recognizes the files of a run, and of the numbered runs and the shards beside it. Caches which of these outputs
    are runs.
    """

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        name = files.output.name
        stem = remove_suffix(name)
        self._suffix = name[len(stem) :]
        self._root = NUMBERS.sub("", stem) or stem
        self._beginning = re.compile(rf"\.?{re.escape(self._root)}((?:\.shard-\d+-of-\d+)?(?:\.\d+)*)")
        self._are_runs: dict[str, bool] = {}

    def includes(self, path: Path) -> bool:
        """Whether a path is one of these files. Fast for the many files that are not."""
        if self._beginning.match(path.name) and (self.files.has_path(path) or self._is_of_relative(path)):
            return True
        return may_be_linked(path) and (self.files.includes(path) or self._is_of_relative(path.resolve()))

    def _is_of_relative(self, path: Path) -> bool:
        found = self._beginning.match(path.name)
        if found is None:
            return False
        relative = self._get_relative(found[1])
        if not relative.has_path(path):
            return False
        if found[1] not in self._are_runs:
            self._are_runs[found[1]] = is_run(relative) or self._is_being_moved_to(found[1], relative)
        return self._are_runs[found[1]]

    def _get_relative(self, numbers: str) -> RunFiles:
        return RunFiles.for_output(self.files.output.with_name(f"{self._root}{numbers}{self._suffix}"))

    def _is_being_moved_to(self, numbers: str, relative: RunFiles) -> bool:
        """Whether a process was killed while it gave these names to the files of an earlier run."""
        before, _, _ = numbers.rpartition(".")
        source = self._get_relative(before)
        with suppress(SettingsError):
            checkpoint = read_checkpoint(source)
            if checkpoint is not None and checkpoint.kept_number is not None:
                return number_files(source, checkpoint.kept_number).output.name == relative.output.name
            return checkpoint is not None and checkpoint.kept_as == relative.output.name
        return False


def is_run(files: RunFiles) -> bool:
    """Whether the output has a run, finished or not."""
    for read in (read_run_file, read_checkpoint):
        with suppress(SettingsError):
            if read(files) is not None:
                return True
    return False
