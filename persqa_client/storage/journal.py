"""The journal stores outcomes as they arrive, so that a run can be resumed.

Each checkpoint starts a new file, a generation; older generations are removed after the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError, StorageError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import Outcome
from persqa_client.storage.durable import Appender, remove_if_present
from persqa_client.storage.records import outcome_from_json, outcome_to_json
from persqa_client.storage.run_files import RunFiles


class JournalEntry(NamedTuple):
    digest: str
    outcome: Outcome


def digest_line(line: bytes) -> str:
    return blake2b(line, digest_size=8).hexdigest()


def decode_entry(line: bytes) -> JournalEntry:
    if not line.endswith(b"\n"):
        raise ValueError("incomplete line")
    fields = load_object(line)
    return JournalEntry(str(fields.pop("digest", "")), outcome_from_json(fields))


class Journal:
    """The current generation, and older ones needed by the last checkpoint.

    ``sync`` and ``remove_before`` are thread-safe.
    """

    def __init__(self, files: RunFiles, generation: int) -> None:
        self.files = files
        self.generation = generation
        self.current = Appender(files.journal_generation(generation))
        self.older: dict[int, Appender] = {}

    def append(self, *entries: JournalEntry) -> None:
        """Writes the entries with one system call."""
        lines = [dump_compact({"digest": digest, **outcome_to_json(outcome)}) + b"\n" for digest, outcome in entries]
        if lines:
            self.current.append(b"".join(lines))

    def start_generation(self, entries: Iterable[JournalEntry]) -> None:
        following = Journal(self.files, self.generation + 1)
        try:
            following.append(*entries)
        except BaseException:
            following.close()
            with suppress(StorageError):
                remove_if_present(following.current.path)
            raise
        self.older[self.generation] = self.current
        self.current, self.generation = following.current, following.generation

    def sync(self) -> None:
        for appender in (*list(self.older.values()), self.current):
            appender.sync()

    def remove_before(self, generation: int) -> None:
        """Call it after the checkpoint is written."""
        for number in list(self.older):
            if number < generation:
                self.older.pop(number).close()
        remove_generations(self.files, generation - 1)

    def close(self) -> None:
        for appender in (*self.older.values(), self.current):
            appender.close()
        self.older.clear()


def read_journal(files: RunFiles, generation: int) -> Iterator[JournalEntry]:
    """Entries from a generation on. Duplicate entries of a task are equal."""
    for number in range(generation, next_free_generation(files, generation)):
        yield from _read_generation(files.journal_generation(number))


def _read_generation(path: Path) -> Iterator[JournalEntry]:
    try:
        with path.open("rb") as lines:
            for line in lines:
                yield decode_entry(line)
    except ValueError:
        # A crash can only truncate the last line; its task is asked again.
        return
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from error


def next_free_generation(files: RunFiles, generation: int) -> int:
    while files.journal_generation(generation).exists():
        generation += 1
    return generation


def remove_generations(files: RunFiles, last: int) -> None:
    """Removes the oldest first, so that a crash leaves no gap."""
    first = last + 1
    while files.journal_generation(first - 1).exists():
        first -= 1
    for number in range(first, last + 1):
        remove_if_present(files.journal_generation(number))
