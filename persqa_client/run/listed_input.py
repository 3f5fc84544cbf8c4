"""Connects an input that lists files with the stored listing of a run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.inputs.listed import ListedSource, is_same_place
from persqa_client.inputs.sources import Source
from persqa_client.run.settings import RunSettings
from persqa_client.storage.checkpoint import read_checkpoint, read_run_file
from persqa_client.storage.listing import FORMAT, LISTING, StoredListing, is_listed
from persqa_client.storage.own_files import OwnFiles
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json


def is_file_of(settings: RunSettings) -> Callable[[Path], bool]:
    """Whether a path is a file of the run, or one that this process writes to otherwise, and so no input of it."""
    own = OwnFiles(RunFiles.for_output(settings.output)) if settings.output and not settings.is_stream else None
    redirected = list(find_redirected_files())

    def is_own(path: Path) -> bool:
        if own is not None and own.includes(path):
            return True
        if settings.failed is not None and is_same_place(str(settings.failed), str(path)):
            return True
        return bool(redirected) and is_one_of(redirected, path)

    return is_own


def find_redirected_files() -> Iterator[os.stat_result]:
    """The files that standard output and error go to, as with ``> photos/qa.jsonl``."""
    for descriptor in (1, 2):
        with suppress(OSError):
            state = os.fstat(descriptor)
            if stat.S_ISREG(state.st_mode):
                yield state


def is_one_of(files: Sequence[os.stat_result], path: Path) -> bool:
    with suppress(OSError):
        state = os.stat(path)
        return any(os.path.samestat(each, state) for each in files)
    return False


def has_listing(settings: RunSettings) -> bool:
    """Whether the run that these settings resume lists its rows."""
    if settings.output is None or settings.is_stream or settings.fresh:
        return False
    files = RunFiles.for_output(settings.output)
    with suppress(SettingsError):  # opening the run reports it
        found = read_checkpoint(files) or read_run_file(files)
        return found is not None and is_listed(found.identity)
    return False


def listing_identity(source: Source) -> Json:
    return {LISTING: FORMAT} if isinstance(source, ListedSource) else {}


def connect_listing(source: Source, locate: Callable[[], Path | None], finished: int) -> Source:
    """The source with the names of the run, at the path from ``locate``. A run of an earlier version has no listing.

    ``finished``: the rows of the finished part of the input, whose names are found anew if the listing was removed.

    Raises SettingsError if they are the names of another folder.
    """
    if not isinstance(source, ListedSource):
        return source
    if locate() is None:
        return source.as_written()

    def locate_listing() -> Path:
        path = locate()
        assert path is not None
        return path

    source.use_listing(StoredListing(locate_listing), finished)
    return source
