"""Writes the files of a run from the questions of other runs, in one step that a crash either completes or undoes."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from persqa_client.errors import SettingsError, StorageError
from persqa_client.storage.checkpoint import (
    EMPTY,
    Checkpoint,
    FileLengths,
    read_checkpoint,
    write_checkpoint,
)
from persqa_client.storage.details import open_file
from persqa_client.storage.durable import Appender, get_file_size
from persqa_client.storage.finished import CHUNK_SIZE, ChunkWriter, KeptLines
from persqa_client.storage.recovery import complete_finish, find_runs, remove_unfinished
from persqa_client.storage.run_files import RunFiles, RunLock
from persqa_client.types import Json, Position


@dataclass(frozen=True, slots=True)
class MergedRun:
    """What the files of the merged run say of it, besides its questions."""

    identity: Json
    stamp: Json | None
    position: Position
    folders: Json | None
    tally: Json
    seconds: float
    # Further members of its run file.
    members: Json


class MergeWriter:
    """Creates the files of a new run in locked files. Without ``finish``, closing removes them.

    Raises SettingsError if the output has a run, or a file that no run has written.
    """

    def __init__(self, files: RunFiles, run: MergedRun) -> None:
        self.files = files
        self._run = run
        self._is_finished = False
        files.prepare()
        with ExitStack() as stack:
            lock = RunLock(files)
            lock.acquire()
            stack.callback(lock.release)
            self._refuse_existing()
            write_checkpoint(files, self._make_checkpoint(EMPTY))
            stack.callback(self._undo)
            writers = []
            for path in (files.partial, files.failed_partial, files.details_partial):
                appender = Appender(path)
                stack.callback(appender.close)
                writers.append(ChunkWriter(appender))
            self._output, self._failed, self._details = writers
            self._close = stack.pop_all()

    def _refuse_existing(self) -> None:
        files = self.files
        found = find_runs(files)
        if found.finished is not None or found.unfinished is not None:
            raise SettingsError(f"{files.output} has a run already: choose another -o, or move its files")
        for path in (files.decisions, files.timeline, files.timeline_partial):
            if get_file_size(path) is not None:
                raise SettingsError(
                    f"{path} exists, and the merged run has no use for it: move it, or choose another -o"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close.close()

    def add(self, question: KeptLines) -> None:
        """Questions come in input order."""
        (self._failed if question.failed else self._output).add(question.line)
        for line in question.details:
            self._details.add(line)

    def copy_listing(self, listing: Path) -> None:
        copy_files([listing], self.files.listing_partial)

    def copy_decisions(self, decisions: list[Path]) -> None:
        copy_files(decisions, self.files.decisions)

    def finish(self) -> None:
        """Once all questions are added."""
        lengths = FileLengths(self._output.finish(), self._failed.finish(), self._details.finish())
        sealed = self._make_checkpoint(lengths, is_complete=True)
        # From here on, the next command with this output completes an interrupted finish.
        self._is_finished = True
        write_checkpoint(self.files, sealed)
        complete_finish(self.files, sealed)

    def _make_checkpoint(self, lengths: FileLengths, *, is_complete: bool = False) -> Checkpoint:
        run = self._run
        return Checkpoint(
            identity=run.identity,
            stamp=run.stamp,
            phase="finishing" if is_complete else "running",
            mode="merge",
            position=run.position,
            lengths=lengths,
            tally=run.tally,
            seconds=run.seconds,
            run=run.members,
            folders=run.folders,
        )

    def _undo(self) -> None:
        if not self._is_finished:
            # What can't be removed now is removed by the next command with this output.
            with suppress(StorageError):
                remove_unfinished(self.files)


def is_merge_finishing(files: RunFiles) -> bool:
    """Whether a crash has interrupted the last step of a merge, which the next command completes."""
    checkpoint = read_checkpoint(files)
    return checkpoint is not None and checkpoint.mode == "merge" and checkpoint.phase == "finishing"


def copy_files(sources: list[Path], target: Path) -> None:
    """One after the other into one file; nothing without sources. A last line that a crash cut off stays alone."""
    if not sources:
        return
    appender = Appender(target)
    try:
        for source in sources:
            last = b""
            with open_file(source) as file:
                while chunk := file.read(CHUNK_SIZE):
                    appender.append(chunk)
                    last = chunk
            if last and not last.endswith(b"\n"):
                appender.append(b"\n")
        appender.sync()
    finally:
        appender.close()
