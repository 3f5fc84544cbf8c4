"""Excludes the run's own files from its input, and detects changes of the input since earlier starts.

The order of listed files comes from the stored listing. Pictures are compared with the details file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from persqa_client.engines.row_feed import has_more_rows
from persqa_client.errors import START_AGAIN, SettingsError
from persqa_client.images.changed_files import ADVICE, ChangeReport, PictureFiles, PictureState
from persqa_client.inputs.files import FileSource, name_counted
from persqa_client.inputs.folders import FolderSource
from persqa_client.inputs.listed import ListedSource, is_same_place
from persqa_client.inputs.memory_pictures import names_memory
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.path_lists import PathListSource
from persqa_client.inputs.shards import count_rows_before
from persqa_client.inputs.sources import (
    ImagesSource,
    SeveralSource,
    Source,
    list_sources,
    locate_picture,
    read_named_lines,
)
from persqa_client.outcomes import Outcome, Record
from persqa_client.questions.steering import TASK_FIELDS
from persqa_client.questions.tasks import place_message
from persqa_client.run.image_roots import find_input_folder, list_named_stores, recorded_roots_of
from persqa_client.run.plan import RowReader, RunPlan, locate_row
from persqa_client.run.settings import RunSettings
from persqa_client.storage.checkpoint import read_checkpoint, read_run_file
from persqa_client.storage.details import LatestOutcomes
from persqa_client.storage.ledger import AnyLedger, Ledger
from persqa_client.storage.listing import FORMAT, LISTING, StoredListing, is_listed
from persqa_client.storage.numbered_files import OwnFiles
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.shard_outputs import ShardFiles
from persqa_client.suggestions import find_similar_name
from persqa_client.types import START_POSITION, Json, Row, TaskId


def is_file_of(settings: RunSettings) -> Callable[[Path], bool]:
    """Whether a path is a file of the run, or another file that this process writes. Such a file is not an input."""
    own = OwnFiles(RunFiles.for_output(settings.output)) if settings.output and not settings.is_stream else None
    redirected = list(find_redirected_files())
    # The others write beside it, at the same time.
    shards = ShardFiles() if settings.shard is not None else None

    def is_own(path: Path) -> bool:
        if own is not None and (own.includes(path) or (shards is not None and shards.includes(path))):
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

    Raises SettingsError if the listing has the names of another folder.
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


def describe_input(source: Source) -> Json:
    several = {"inputs": list(source.names)} if isinstance(source, SeveralSource) else {}
    return {"input": source.name, **several}


def find_answered_row(files: RunFiles, reader: RowReader, source: Source) -> Row | None:
    """The first row of the output; None if its pictures are not at hand. In a retry, the unfinished output may still be
    empty.
    """
    for path in (files.partial, files.output):
        with suppress(OSError), path.open("rb") as file:
            if line := file.readline():
                row = reader.parse_answered(line)
                return None if row is None or names_memory(row) else locate_answered(row, source)
    return None


def refuse_empty_source(source: Source) -> None:
    """Raises SettingsError if there is nothing to ask about."""
    if has_more_rows(source, START_POSITION):
        return
    if isinstance(source, ListedSource):
        raise SettingsError(" ".join((f"{source.name} has no images.", *source.warnings())))
    name = "Standard input" if isinstance(source, SpooledSource) else source.name
    raise SettingsError(f"{name} has no rows to ask about.")


def plan_for_source(settings: RunSettings, source: Source) -> RunPlan:
    """Raises SettingsError for all that is wrong whatever the server and the rows of a file are."""
    root = settings.image_root
    stores = list_named_stores(source, root)
    counted_as = name_counted(*list_opened(source))
    plan = RunPlan(settings, find_input_folder(source, root), recorded_roots_of(source), counted_as, stores)
    refuse_fields_of_pictures(plan, source)
    return plan


def list_opened(source: Source) -> list[Source]:
    """The sources of each input, those of standard input as the files that they are kept in."""
    return [each.source if isinstance(each, SpooledSource) else each for each in list_sources(source)]


def refuse_fields_of_pictures(plan: RunPlan, source: Source) -> None:
    """Raises SettingsError if rows need a field, and all of them are pictures, which have none."""
    if not all(isinstance(each, ListedSource | ImagesSource | PathListSource) for each in list_opened(source)):
        return
    for flag, name in plan.steering.list_row_fields():
        similar = find_similar_name(name, TASK_FIELDS)
        meant = "" if similar is None else f" (did you mean {{{similar}}}?)"
        raise SettingsError(
            f"--{flag} names the field {{{name}}}{meant}, and the rows of {source.name} are pictures without fields. "
            f"Use {{question}}, {{tag}} or {{category}}, or give a file of rows that have the field {name!r}."
        )
    recipe = plan.settings.recipe
    if recipe.box is not None:
        raise SettingsError(
            f"--box needs a box in each row, and the rows of {source.name} are pictures without fields. Give a file of "
            f"rows that have the field {recipe.box_key!r}."
        )


def refuse_output_as_input(source: Source, files: RunFiles) -> None:
    for each in list_sources(source):
        if isinstance(each, FileSource | FolderSource):
            files.refuse_input(Path(each.name))


def locate_answered(row: Row, source: Source) -> Row:
    """The row with its own file and name, if the source lists files.

    With several inputs, only the leading ones that list images are searched.
    """
    for each in list_sources(source):
        if isinstance(each, ListedSource):
            if len(row.images) == 1 and (name := each.find_name(row.images[0])) is not None:
                return locate_row(row, name, os.path.join(each.root, name))
        elif not isinstance(each, ImagesSource):
            break
        elif row.images[0] in each.paths:
            return locate_row(row, None, locate_picture(row.images[0]))
    return row


def refuse_changed_input(source: Source, ledger: Ledger) -> None:
    """Raises SettingsError if the finished part of the input has changed; lines may be added after it."""
    if ledger.start.number == 0 or is_same_stamp(ledger.stamp, source.fingerprint()):
        return
    if source.digest_at(ledger.start) != ledger.start.digest:
        done = f"{ledger.start.number} {'lines' if type(source) is FileSource else 'rows'}"
        raise SettingsError(
            f"The input {source.name} has changed in its first {done}, which are already finished. "
            f"Restore it, choose another -o, or {START_AGAIN}."
        )


def is_same_stamp(before: Json | None, now: Json | None) -> bool:
    """Runs of earlier versions have stored only the size and the time of their input."""
    return before is not None and now is not None and before.items() <= now.items()


class PictureSurvey:
    """``asks``: whether answers about changed pictures are asked again afterwards."""

    def __init__(self, files: PictureFiles, warn: Callable[[str], None], *, asks: bool) -> None:
        self._files = files
        self._warn = warn
        advice = "its questions are asked again." if asks else f"{ADVICE}."
        self._changed = ChangeReport(warn, place_message, f"changed since it was asked about; {advice}", "changed")
        self._unreadable = ChangeReport(
            warn, place_message, "can't be read any more; the answer stays.", "can't be read any more"
        )
        # Numbers of answers about changed pictures, and of answers that were stored without the data to compare.
        self.answers = self.unknown = 0

    def look(self, ledger: Ledger, source: Source, reader: RowReader, is_stopped: Callable[[], bool]) -> None:
        """Takes a few seconds for each 100,000 rows. Raises SettingsError if the details can't be read."""
        details = ledger.files.details
        outcomes = LatestOutcomes(details) if details.exists() else None
        described = 0
        for row, task_ids in read_finished_rows(ledger, source, reader):
            if is_stopped():
                return
            if outcomes is not None:
                found = outcomes.take(task_ids)
                described += sum(isinstance(outcome, Record) for outcome in found.values())
                self._look_at_row(row, found)
        self.unknown += max(0, ledger.tally.succeeded - described)
        self._changed.finish()
        self._unreadable.finish()
        if self.unknown:
            self._warn(
                f"The pictures of {self.unknown:,} answers are not compared, because the details of the run do not "
                "say which files were sent."
            )

    def _look_at_row(self, row: Row, outcomes: dict[TaskId, Outcome]) -> None:
        named: set[str] = set()
        for outcome in outcomes.values():
            if not isinstance(outcome, Record):
                continue
            states: set[PictureState] = set()
            for reference, picture in zip(row.pictures, outcome.pictures, strict=False):
                state = self._files.compare(reference, picture)
                states.add(state)
                if state in (PictureState.CHANGED, PictureState.UNREADABLE) and reference not in named:
                    named.add(reference)
                    report = self._changed if state is PictureState.CHANGED else self._unreadable
                    report.add(row, reference)
            self.unknown += PictureState.UNKNOWN in states
            self.answers += PictureState.CHANGED in states and PictureState.UNREADABLE not in states


def read_finished_rows(ledger: Ledger, source: Source, reader: RowReader) -> Iterator[tuple[Row, tuple[TaskId, ...]]]:
    """The rows of the finished part of the input."""
    for named in read_named_lines(source, START_POSITION):
        line, position, name, path = named
        if position.number > ledger.start.number:
            return
        row = reader.parse(position.number, line, name, path) if line.strip() and reader.includes(named) else None
        if isinstance(row, Row):
            yield row, reader.task_ids(row)


def rows_left(ledger: AnyLedger, settings: RunSettings, source: Source) -> int | None:
    """Rows of the input that are left under the limit; None for no limit. A retry asks all failed rows.

    With a shard, this reads the finished part of the input.
    """
    if settings.limit is None or ledger.mode == "retry":
        return None
    whole = settings.shard is None
    return max(0, settings.limit - (ledger.tally.rows if whole else count_rows_before(source, ledger.start.number)))
