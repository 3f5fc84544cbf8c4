"""The journal: every outcome as it comes, in files of growing generation. Appends to and reads those files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError, StorageError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.storage.durable import Appender, remove
from persqa_client.storage.records import outcome_from_json, outcome_to_json
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Outcome, TaskId


class Entry(NamedTuple):
    """An outcome, and the digest of the input line that it belongs to."""

    digest: str
    outcome: Outcome


def line_digest(line: bytes) -> str:
    return blake2b(line, digest_size=8).hexdigest()


def encode_entry(entry: Entry) -> bytes:
    return dump_compact({"digest": entry.digest, **outcome_to_json(entry.outcome)}) + b"\n"


def decode_entry(line: bytes) -> Entry:
    """Raises ValueError where the line is torn or otherwise no entry."""
    if not line.endswith(b"\n"):
        raise ValueError("torn")
    fields = load_object(line)
    return Entry(str(fields.pop("digest", "")), outcome_from_json(fields))


class Journal:
    """The generation that is being written, and those before it that no checkpoint has made needless yet."""

    def __init__(self, files: RunFiles, generation: int) -> None:
        self.files = files
        self.generation = generation
        self.current = Appender(files.generation(generation))
        self.past: dict[int, Appender] = {}

    def append(self, entry: Entry) -> None:
        self.current.append(encode_entry(entry))

    def extend(self, entries: Iterable[Entry]) -> None:
        """Appends them all by one write."""
        if data := b"".join(map(encode_entry, entries)):
            self.current.append(data)

    def turn(self, entries: Iterable[Entry]) -> None:
        """Goes on in the next generation, which begins with ``entries``; the old one stays until ``forget``.

        ``sync`` and ``forget`` may run in another thread meanwhile."""
        following = Journal(self.files, self.generation + 1)
        try:
            following.extend(entries)
        except BaseException:
            following.close()
            with suppress(StorageError):
                remove(following.current.path)
            raise
        self.past[self.generation] = self.current
        self.current, self.generation = following.current, following.generation

    def sync(self) -> None:
        for appender in (*list(self.past.values()), self.current):
            appender.sync()

    def forget(self, before: int) -> None:
        """Closes and removes every generation before that one, which the checkpoint now goes by."""
        for number in list(self.past):
            if number < before:
                self.past.pop(number).close()
        remove_generations(self.files, before - 1)

    def close(self) -> None:
        for appender in (*self.past.values(), self.current):
            appender.close()
        self.past.clear()


def replay(files: RunFiles, generation: int) -> Iterator[Entry]:
    """What was settled, from that generation on; later entries of a unit repeat the earlier ones."""
    for number in range(generation, next_generation(files, generation)):
        yield from read_generation(files.generation(number))


def read_generation(path: Path) -> Iterator[Entry]:
    try:
        with path.open("rb") as lines:
            for line in lines:
                yield decode_entry(line)
    except ValueError:
        # Only the last line can be torn by a crash; it was in flight, and its unit is asked again.
        return
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from error


def next_generation(files: RunFiles, generation: int) -> int:
    """The first number from ``generation`` on that no file has; those in use have no gaps."""
    while files.generation(generation).exists():
        generation += 1
    return generation


def remove_generations(files: RunFiles, last: int) -> None:
    """Removes the generations up to ``last``, the oldest first, so that a crash leaves no gap."""
    first = last + 1
    while files.generation(first - 1).exists():
        first -= 1
    for number in range(first, last + 1):
        remove(files.generation(number))


def by_unit(entries: Iterable[Entry]) -> dict[TaskId, Entry]:
    return {entry.outcome.task_id: entry for entry in entries}
