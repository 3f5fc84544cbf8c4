"""Paths of a run's files, and the lock."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from persqa_client.errors import SettingsError
from persqa_client.storage.durable import temporary_path

SUFFIXES = (".jsonl", ".ndjson", ".json")
# Parts of the names of a run's files beside its output.
COMPANIONS = frozenset({"failed", "details", "listing", "decisions", "timeline"})


@dataclass(frozen=True, slots=True)
class RunFiles:
    """All paths of a run, in one folder so that files can be renamed."""

    output: Path
    failed: Path
    details: Path
    listing: Path
    run: Path
    decisions: Path
    timeline: Path
    partial: Path
    failed_partial: Path
    details_partial: Path
    listing_partial: Path
    timeline_partial: Path
    # Prefix; each generation of the journal appends its number.
    journal: Path
    checkpoint: Path
    lock: Path

    @classmethod
    def for_output(cls, output: Path) -> RunFiles:
        """``qa.jsonl`` gives ``qa.failed.jsonl``, ``qa.run.json``, ``qa.jsonl.partial`` and so on."""
        folder, name = output.parent, output.name
        stem = remove_suffix(name)
        return cls(
            output=output,
            failed=folder / f"{stem}.failed.jsonl",
            details=folder / f"{stem}.details.jsonl",
            listing=folder / f"{stem}.listing.jsonl",
            run=folder / f"{stem}.run.json",
            decisions=folder / f"{stem}.decisions.jsonl",
            timeline=folder / f"{stem}.timeline.jsonl",
            partial=folder / f"{name}.partial",
            failed_partial=folder / f"{stem}.failed.jsonl.partial",
            details_partial=folder / f"{stem}.details.jsonl.partial",
            listing_partial=folder / f"{stem}.listing.jsonl.partial",
            timeline_partial=folder / f"{stem}.timeline.jsonl.partial",
            journal=folder / f"{name}.journal",
            checkpoint=folder / f"{name}.checkpoint",
            lock=folder / f".{name}.lock",
        )

    def journal_generation(self, number: int) -> Path:
        return self.journal.with_name(f"{self.journal.name}{number}")

    def all_paths(self) -> tuple[Path, ...]:
        """All paths except those of the journal."""
        results = (self.output, self.failed, self.details, self.listing)
        partials = (self.partial, self.failed_partial, self.details_partial, self.listing_partial)
        timelines = (self.timeline, self.timeline_partial)
        return (*results, *partials, *timelines, self.run, self.decisions, self.checkpoint, self.lock)

    def has_name(self, name: str) -> bool:
        """Whether a file of this name in the output's folder is one of the run, or the rest of a killed process."""
        number = name.removeprefix(self.journal.name)
        if name != number and (not number or number.isdigit()):
            return True
        written_whole = (self.run, self.checkpoint, self.listing, self.listing_partial)
        return name in {path.name for path in (*self.all_paths(), *map(temporary_path, written_whole))}

    def includes(self, path: Path) -> bool:
        """Whether the path is a file of the run, also under another name through links."""
        if self.has_path(path):
            return True
        if not may_be_linked(path):
            return False
        return self.has_path(path.resolve()) or any(_is_same_file(path, other) for other in self.all_paths())

    def has_path(self, path: Path) -> bool:
        """Whether the path has the name of a file of the run. The target of a link does not matter."""
        return self.has_name(path.name) and os.path.realpath(path.parent) == os.path.realpath(self.output.parent)

    def refuse_input(self, path: Path) -> None:
        if self.includes(path):
            _check_output_path(self.output)
            raise SettingsError(f"the input {path} is one of the files of the output {self.output}: choose another -o")

    def prepare(self) -> None:
        """Creates the output's folder. Raises SettingsError if the path can't be an output."""
        _check_output_path(self.output)
        has_run = self.run.exists() or self.checkpoint.exists()
        if not has_run and (owner := find_run_beside(self.output)) is not None:
            raise SettingsError(f"{self.output} is the name of a file of the output {owner}: choose another -o")
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise SettingsError(
                f"the folder {self.output.parent} can't be created ({reason}): choose another -o"
            ) from error

    def check_can_be_written(self) -> None:
        """Raises SettingsError like the start of a run that writes these files."""
        self.prepare()
        lock = RunLock(self)
        lock.acquire()
        lock.release()


def remove_suffix(name: str) -> str:
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def find_owner(path: Path) -> Path | None:
    """The output of the run that has this file beside it; None for an output, and for any other file."""
    for output in path.parent.glob("*.run.json"):
        stem = output.name.removesuffix(".run.json")
        files = RunFiles.for_output(path.with_name(f"{stem}.jsonl"))
        if files.output.exists() and path != files.output and files.has_name(path.name):
            return files.output
    return None


def find_run_beside(path: Path) -> Path | None:
    """The output of the run, finished or not, whose failure file, details or so on has this name."""
    stem, _, kind = remove_suffix(path.name).rpartition(".")
    if stem and kind in COMPANIONS and path.suffix == SUFFIXES[0]:
        for files in (RunFiles.for_output(path.with_name(f"{stem}{suffix}")) for suffix in (*SUFFIXES, "")):
            if files.checkpoint.exists() or (files.run.exists() and files.output.exists()):
                return files.output
    return None


def may_be_linked(path: Path) -> bool:
    try:
        state = path.lstat()
    except OSError:
        return False
    return stat.S_ISLNK(state.st_mode) or state.st_nlink > 1


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _check_output_path(output: Path) -> None:
    """The output must be a regular file or not exist, because a rename replaces it."""
    absolute = os.path.abspath(output)
    if absolute.startswith("/dev/") and not absolute.startswith("/dev/shm/"):
        raise SettingsError(
            f"the output {output} is a device, so the run could not be resumed: give a file, or - for standard output"
        )
    try:
        mode = output.stat().st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        raise SettingsError(f"the output {output} is a folder: give -o a file in it, such as {output / 'qa.jsonl'}")
    if not stat.S_ISREG(mode):
        raise SettingsError(f"the output {output} is not a regular file: choose another -o")


class RunInUse(SettingsError):
    """Another process writes the run."""


class RunLock:
    """Prevents two runs from writing the same output. Released when the process dies."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        # A run may be opened and closed in different threads.
        self._lock = FileLock(files.lock, timeout=0, thread_local=False)

    @property
    def is_held(self) -> bool:
        return self._lock.is_locked

    def acquire(self) -> None:
        """Raises SettingsError if another run holds the lock, or if the folder can't be written."""
        output = self.files.output
        try:
            self._lock.acquire()
        except Timeout as error:
            if not self.files.lock.exists():
                # Some folders, such as in /proc, report new files as missing, and FileLock would retry.
                raise self._folder_error("no file can be created in it") from error
            raise RunInUse(f"another run is writing {output}: wait until it ends, or choose another -o") from error
        except OSError as error:
            raise self._folder_error(error.strerror or str(error)) from error

    def _folder_error(self, reason: str) -> SettingsError:
        return SettingsError(f"the folder {self.files.output.parent} can't be written ({reason}): choose another -o")

    def release(self) -> None:
        if self.is_held:
            # Unlinked before the release: another process that has opened the file notices this, and creates a new one.
            with suppress(OSError):
                os.unlink(self.files.lock)
            self._lock.release()
