"""The files of a run: their names, and which paths can't be an output. Looks at paths, makes a folder."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from persqa_client.errors import SettingsError

SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Every name that a run with this output may use; all lie in one folder, so that each end is a rename."""

    output: Path
    failed: Path
    run: Path
    partial: Path
    failed_partial: Path
    journal: Path
    """Of its generations, each with its number at the end: ``generation(1)``."""
    checkpoint: Path
    lock: Path

    @classmethod
    def for_output(cls, output: Path) -> RunFiles:
        """``qa.jsonl`` gives ``qa.failed.jsonl``, ``qa.run.json``, ``qa.jsonl.partial`` and so on."""
        folder, name = output.parent, output.name
        stem = stem_of(name)
        return cls(
            output=output,
            failed=folder / f"{stem}.failed.jsonl",
            run=folder / f"{stem}.run.json",
            partial=folder / f"{name}.partial",
            failed_partial=folder / f"{stem}.failed.jsonl.partial",
            journal=folder / f"{name}.journal",
            checkpoint=folder / f"{name}.checkpoint",
            lock=folder / f".{name}.lock",
        )

    def generation(self, number: int) -> Path:
        return self.journal.with_name(f"{self.journal.name}{number}")

    def owns(self, path: Path) -> bool:
        """Whether the run would read, write or replace ``path``."""
        own = (self.output, self.failed, self.run, self.partial, self.failed_partial, self.checkpoint, self.lock)
        real = path.resolve()
        if any(real == mine.resolve() or same_file(path, mine) for mine in own):
            return True
        rest = real.name.removeprefix(self.journal.name)
        return real.parent == self.journal.parent.resolve() and rest != real.name and (not rest or rest.isdigit())

    def refuse_input(self, path: Path) -> None:
        """Raises SettingsError where the run would write over its own input."""
        if self.owns(path):
            raise SettingsError(f"the input {path} is one of the files of the output {self.output}: choose another -o")

    def prepare(self) -> None:
        """Makes the output's folder. Raises SettingsError where no output can be."""
        refuse_place(self.output)
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise SettingsError(
                f"the folder {self.output.parent} can't be made ({reason}): choose another -o"
            ) from error


def stem_of(name: str) -> str:
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def refuse_place(output: Path) -> None:
    """A run ends by a rename onto its output, so that must be a plain file, or nothing yet."""
    place = os.path.abspath(output)
    if place.startswith("/dev/") and not place.startswith("/dev/shm/"):
        raise SettingsError(
            f"the output {output} is a device; a run needs a plain file that it can go on with: give -o a file"
        )
    try:
        mode = output.stat().st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        raise SettingsError(f"the output {output} is a folder: give -o a file in it, such as {output / 'qa.jsonl'}")
    if not stat.S_ISREG(mode):
        raise SettingsError(f"the output {output} is not a plain file: choose another -o")


# The lock that keeps two runs off one output. Holds an OS lock on a file of its own.


class RunLock:
    """Held from ``take`` to ``release``; a process that dies lets go of it."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        # One run may be opened in one thread and closed in another.
        self.lock = FileLock(files.lock, timeout=0, thread_local=False)

    @property
    def free(self) -> bool:
        return not self.lock.is_locked

    def take(self) -> None:
        """Raises SettingsError where another run has it, or where nothing can be written in the folder."""
        output = self.files.output
        try:
            self.lock.acquire()
        except Timeout as error:
            if not self.files.lock.exists():
                # Some folders, such as those of /proc, answer that the new file is not found, which looks like a race.
                raise self.unwritable("no file can be made in it") from error
            raise SettingsError(
                f"another run is writing {output} right now: wait for its end, or choose another -o"
            ) from error
        except OSError as error:
            raise self.unwritable(error.strerror or str(error)) from error

    def unwritable(self, reason: str) -> SettingsError:
        return SettingsError(f"the folder {self.files.output.parent} can't be written ({reason}): choose another -o")

    def release(self) -> None:
        # Unlinked while still held: whoever has opened it meanwhile sees that it has no name any more and tries anew.
        if not self.free:
            with suppress(OSError):
                os.unlink(self.files.lock)
            self.lock.release()
