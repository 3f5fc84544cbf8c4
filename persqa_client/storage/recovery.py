"""What lies at an output when a run is opened: an unfinished run, a finished one, none. Reads and moves files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.storage.checkpoint import (
    Before,
    Checkpoint,
    Finished,
    Lengths,
    foreign,
    read_checkpoint,
    read_run_file,
    write_run_file,
)
from persqa_client.storage.durable import draft_of, file_size, move, remove, sync_folder
from persqa_client.storage.journal import next_generation, remove_generations, replay
from persqa_client.storage.records import parse_failure_line
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json, Position, TaskId


@dataclass(frozen=True, slots=True)
class Found:
    """An unfinished run, and a finished one, whose output may still lie in place while the other goes on."""

    checkpoint: Checkpoint | None
    finished: Finished | None


def survey(files: RunFiles) -> Found:
    """Takes stock, and completes an end or a reopening that was broken off.

    Raises SettingsError where a file lies there that is not ours, or not as we left it.
    """
    checkpoint = read_checkpoint(files)
    if checkpoint is not None and checkpoint.phase == "finishing":
        complete_finish(files, checkpoint)
        checkpoint = None
    if checkpoint is not None and checkpoint.phase == "reopening":
        complete_reopening(files)
        checkpoint = replace(checkpoint, phase="running")
    finished = read_run_file(files)
    refuse_foreign_results(files, finished)
    refuse_foreign_partials(files, checkpoint)
    return Found(checkpoint, finished)


def complete_finish(files: RunFiles, checkpoint: Checkpoint) -> None:
    """The last steps of a run. Each does nothing where it was done before, so the whole can be done again."""
    if checkpoint.lengths.failed:
        move(files.failed_partial, files.failed)
    else:
        remove(files.failed)
        remove(files.failed_partial)
    move(files.partial, files.output)
    sync_folder(files.output.parent)
    write_run_file(files, checkpoint)
    remove_generations(files, checkpoint.generation)
    for path in (draft_of(files.run), draft_of(files.checkpoint), files.checkpoint):
        remove(path)
    sync_folder(files.output.parent)


def complete_reopening(files: RunFiles) -> None:
    """Makes a finished run's files partial again; to be done again after a crash, like ``complete_finish``."""
    move(files.output, files.partial)
    move(files.failed, files.failed_partial)
    sync_folder(files.output.parent)


def is_hollow(files: RunFiles, checkpoint: Checkpoint) -> bool:
    """Whether not one unit of an unfinished run is settled: it has nothing to go on with, its settings bind nobody.

    A retry that has only carried old rows over is hollow too: the finished run lies there as it was.
    """
    before = checkpoint.before
    begun = checkpoint.position.number if before is None else before.done.failed
    return not begun and next(replay(files, checkpoint.generation), None) is None


def discard(files: RunFiles) -> None:
    """Removes what a hollow run left. The checkpoint goes last: without it the others would be nobody's."""
    remove(files.partial)
    remove(files.failed_partial)
    checkpoint = read_checkpoint(files)
    if checkpoint is not None:
        remove_generations(files, next_generation(files, checkpoint.generation) - 1)
    remove(files.checkpoint)


def refuse_foreign_results(files: RunFiles, finished: Finished | None) -> None:
    """An output or failure file may be replaced only if it is, to the byte count, what a run of ours left."""
    lengths = finished.lengths if finished is not None else Lengths()
    known = {files.output: None if finished is None else lengths.output, files.failed: lengths.failed or None}
    for path, length in known.items():
        size = file_size(path)
        if size is not None and size != length:
            raise foreign(path)


def refuse_foreign_partials(files: RunFiles, checkpoint: Checkpoint | None) -> None:
    if checkpoint is None:
        for path in (files.partial, files.failed_partial, files.generation(1)):
            if file_size(path) is not None:
                raise foreign(path)
        return
    for path, length in (
        (files.partial, checkpoint.lengths.output),
        (files.failed_partial, checkpoint.lengths.failed),
    ):
        size = file_size(path)
        if size is not None and size < length:
            raise foreign(path)


def refuse_missing(files: RunFiles, found: Found) -> None:
    """Raises SettingsError where a run can't go on, or be called finished, for a file of it that is gone."""
    if found.checkpoint is not None:
        expected = {
            files.partial: found.checkpoint.lengths.output,
            files.failed_partial: found.checkpoint.lengths.failed,
        }
    elif found.finished is not None:
        expected = {files.output: 1, files.failed: found.finished.lengths.failed}
    else:
        return
    for path, length in expected.items():
        if length and file_size(path) is None:
            raise SettingsError(f"{path} is gone: put it back, or start again with --fresh")


def refuse_changed(old: Json, new: Json) -> None:
    """Raises SettingsError with the name of the first setting that is not what it was."""
    new = load_object(dump_compact(new))
    for name in (*old, *(name for name in new if name not in old)):
        was, now = old.get(name), new.get(name)
        if was != now:
            raise SettingsError(
                f"the setting {name} was {show(was)} in this run and is {show(now)} now: "
                "give the old value, choose another -o, or start again with --fresh"
            )


def show(value: object) -> str:
    text = dump_compact(value).decode()
    return "not set" if value is None else text if len(text) <= 80 else f"{text[:77]}..."


# A retry's view of the finished run: what failed, what is carried over. Reads the old output and failures.

CHUNK = 1 << 20
"""Bytes of old output carried over by one write, so that a long stretch between failures costs few of them."""


class OldRun:
    """Two readers that go over the old files once, in the order of the input."""

    def __init__(self, files: RunFiles, before: Before) -> None:
        self.files = files
        self.until = before.until
        self.lengths = before.lengths
        self.done = before.done
        refuse_misfit(files, before.lengths)
        self.output = files.output.open("rb")
        self.failed = files.failed.open("rb") if before.lengths.failed else None
        self.output.seek(before.done.output)
        self.failed_read = before.done.failed
        """Bytes of the failure file that belong to rows already read."""
        self.next: tuple[TaskId, str] | None = None
        self.next_size = 0
        if self.failed is not None:
            self.failed.seek(self.failed_read)
            self.look_ahead(self.failed)

    def look_ahead(self, failed: BinaryIO) -> None:
        line = failed.readline()
        self.next_size = len(line)
        try:
            self.next = parse_failure_line(line) if line else None
        except ValueError as error:
            raise foreign(self.files.failed) from error

    def claim(self, units: tuple[TaskId, ...]) -> dict[TaskId, str]:
        """Those of a row's units that failed, with their codes; called for each row once, in order."""
        claimed: dict[TaskId, str] = {}
        for unit in units:
            if self.next is None or self.failed is None or self.next[0] > unit:
                continue
            if self.next[0] != unit:
                raise changed(f"row {self.next[0].row} of it, which failed, is not there any more")
            claimed[unit] = self.next[1]
            self.failed_read += self.next_size
            self.look_ahead(self.failed)
        return claimed

    def carry(self, count: int) -> Iterator[bytes]:
        """The next ``count`` lines of the old output, some at a time."""
        lines: list[bytes] = []
        size = 0
        for _ in range(count):
            line = self.output.readline()
            if not line:
                raise changed("it has more rows than the finished output and its failure file tell of")
            lines.append(line)
            size += len(line)
            if size >= CHUNK:
                yield b"".join(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines)

    def mark(self, failed_read: int) -> None:
        """Says that what was carried so far is written, and that rows up to there in the failure file are done."""
        self.done = Lengths(self.output.tell(), failed_read)

    def roll_back(self) -> None:
        self.output.seek(self.done.output)

    def beyond(self, position: Position) -> bool:
        """Whether the finished run never read the line before ``position``; checks that the input is the same."""
        if position.number == self.until.number and not self.is_end(position):
            raise changed(f"its first {position.number} lines are not those of the finished run")
        return position.number > self.until.number

    def is_end(self, position: Position) -> bool:
        """Whether the finished run ended there. The offset may differ: its last line may have been given an end."""
        return (position.number, position.digest) == (self.until.number, self.until.digest)

    def refuse_rest(self, position: Position) -> None:
        """Raises SettingsError where the pass ends and not all of the finished run was gone over."""
        if not self.is_end(position):
            raise changed(
                f"it ends at line {position.number}, and the finished run went on to line {self.until.number}"
            )
        if self.done != self.lengths:
            raise changed("it has fewer rows than the finished output and its failure file tell of")

    def note(self) -> Before:
        return Before(self.lengths, self.done, self.until)

    def close(self) -> None:
        self.output.close()
        if self.failed is not None:
            self.failed.close()


def refuse_misfit(files: RunFiles, lengths: Lengths) -> None:
    for path, length in ((files.output, lengths.output), (files.failed, lengths.failed or None)):
        if file_size(path) != length:
            raise SettingsError(
                f"{path} is not as the finished run left it, so its failures can't be asked again in their places: "
                "put it back, or choose another -o"
            )


def changed(how: str) -> SettingsError:
    return SettingsError(f"the input changed since the finished run ({how}): put it back, or choose another -o")
