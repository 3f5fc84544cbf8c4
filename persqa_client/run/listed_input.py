"""Connects an input that lists files with the stored listing of a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from persqa_client.config import RunSettings
from persqa_client.errors import SettingsError
from persqa_client.inputs.listed import ListedSource, is_same_place
from persqa_client.inputs.source import Source
from persqa_client.storage.checkpoint import read_checkpoint, read_run_file
from persqa_client.storage.listing import FORMAT, LISTING, StoredListing, is_listed
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json


def is_file_of(settings: RunSettings) -> Callable[[Path], bool]:
    """Whether a path is a file that the run writes, and so no input of it."""
    if settings.output is None or settings.is_stream:
        return lambda path: settings.failed is not None and is_same_place(str(settings.failed), str(path))
    return RunFiles.for_output(settings.output).includes


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
