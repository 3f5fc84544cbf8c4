"""Whose file is it: the files of a run, and those of its other starts, which ``--fresh`` keeps under numbers.

``qa.jsonl``, ``qa.1.jsonl`` and ``qa.1.2.jsonl`` are outputs of one family. A name alone says nothing: a user's own
files may be numbered as well, so a run has to have left its run file or its checkpoint there.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import read_checkpoint, read_run_file
from persqa_client.storage.numbered_files import number_files
from persqa_client.storage.run_files import RunFiles, may_be_linked, remove_suffix

NUMBERS = re.compile(r"(?:\.\d+)*$")


class OwnFiles:
    """Of the run with this output and its family. Which outputs are runs is looked up once each."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        name = files.output.name
        stem = remove_suffix(name)
        self._suffix = name[len(stem) :]
        self._root = NUMBERS.sub("", stem) or stem
        self._beginning = re.compile(rf"\.?{re.escape(self._root)}((?:\.\d+)*)")
        self._are_runs: dict[str, bool] = {}

    def includes(self, path: Path) -> bool:
        """Quick for the many files that are none of them."""
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
