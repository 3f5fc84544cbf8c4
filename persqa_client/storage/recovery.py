"""Examines the files at an output path, and completes or refuses the runs found there.

A file is foreign if it was not written by a run, or was changed since. Foreign files are never overwritten.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, replace

from persqa_client.errors import START_AGAIN, SettingsError
from persqa_client.jsonl import dump_compact
from persqa_client.keys import mask_secrets
from persqa_client.storage.checkpoint import (
    DETAILS_FORMAT,
    EXTRA_BODY,
    Checkpoint,
    FileLengths,
    FinishedRun,
    foreign_file_error,
    read_checkpoint,
    read_run_file,
    write_checkpoint,
    write_run_file,
)
from persqa_client.storage.durable import (
    Appender,
    get_file_size,
    move_if_present,
    remove_if_present,
    sync_folder,
    temporary_path,
)
from persqa_client.storage.journal import next_free_generation, read_journal, remove_generations
from persqa_client.storage.listing import LISTING, is_listed, is_listing
from persqa_client.storage.numbered_files import complete_keeping, keep_numbered
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.timeline_file import move_timeline, remove_timeline
from persqa_client.types import Json

# Characters of a setting in a message, and of those before a difference.
MAX_SHOWN, SHOWN_BEFORE = 80, 20
# Bytes of an old file copied per write.
CHUNK_SIZE = 1 << 20
TAG_BRACKETS = re.compile("^<(.*)>$")

# Digests of built-in texts in a run's identity. Runs of earlier versions lack them and can be resumed.
BUILT_IN_DIGESTS = {
    "bank-digest": "the built-in questions",
    "prompts-digest": "the built-in prompts",
    "verify-digest": "the built-in prompts of --verify",
    "lengths-digest": "the built-in words of --answer-style",
}


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """Both exist during a retry or a fresh run, which then replaces the finished run."""

    unfinished: Checkpoint | None
    finished: FinishedRun | None


def find_runs(files: RunFiles) -> FoundRuns:
    """Reads the state of a run; first completes a finish, a reopening or a move that was interrupted by a crash, and
    undoes a recheck or a merge that was interrupted before its finish.

    Raises SettingsError for a foreign file.
    """
    checkpoint = read_checkpoint(files)
    # A process that was killed while it replaced one of these leaves a temporary file.
    for path in (files.checkpoint, files.run, files.listing, files.listing_partial):
        remove_if_present(temporary_path(path))
    if checkpoint is not None and checkpoint.phase == "finishing":
        complete_finish(files, checkpoint)
        checkpoint = None
    if checkpoint is not None and checkpoint.mode in ("recheck", "merge"):
        remove_unfinished(files)
        checkpoint = None
    if checkpoint is not None and checkpoint.phase == "keeping":
        checkpoint = complete_keeping(files, checkpoint)
    if checkpoint is not None and checkpoint.phase == "reopening":
        complete_reopening(files, checkpoint)
        checkpoint = replace(checkpoint, phase="running")
    finished = read_run_file(files)
    check_results_unchanged(files, finished)
    _check_partials(files, checkpoint)
    return _without_missing_details(files, FoundRuns(checkpoint, finished))


def _without_missing_details(files: RunFiles, found: FoundRuns) -> FoundRuns:
    """Details may be removed to save space. Those of later questions begin a new file."""
    unfinished, finished = found.unfinished, found.finished
    if unfinished is not None and get_file_size(files.details_partial) is None:
        unfinished = replace(unfinished, lengths=unfinished.lengths._replace(details=0))
    if get_file_size(files.details) is None:
        unfinished = unfinished.without_finished_details() if unfinished is not None else None
        if finished is not None:
            finished = replace(finished, lengths=finished.lengths._replace(details=0))
    return FoundRuns(unfinished, finished)


def complete_finish(files: RunFiles, checkpoint: Checkpoint) -> FinishedRun:
    """The last steps of a run. Can be repeated after a crash or an error, with the checkpoint that is then stored."""
    if checkpoint.kept_number is not None:
        keep_numbered(files, checkpoint.kept_number)
        # Written before the new files get their names, which then are not taken for those of the earlier run.
        write_checkpoint(files, checkpoint := replace(checkpoint, kept_number=None))
    if get_file_size(files.details) is None and get_file_size(files.details_partial) is not None:
        shortened = checkpoint.without_finished_details()
        if shortened is not checkpoint:
            # Written first: after a crash, the new file must not be taken for a part of the missing one.
            write_checkpoint(files, checkpoint := shortened)
    if checkpoint.lengths.failed:
        move_if_present(files.failed_partial, files.failed)
    else:
        remove_if_present(files.failed)
        remove_if_present(files.failed_partial)
    _finish_details(files, checkpoint)
    if checkpoint.before is None:
        _finish_listing(files, checkpoint)
        move_timeline(files.timeline_partial, files.timeline)
    move_if_present(files.partial, files.output)
    sync_folder(files.output.parent)
    write_run_file(files, checkpoint)
    remove_generations(files, checkpoint.generation)
    for path in (temporary_path(files.run), temporary_path(files.checkpoint), files.checkpoint):
        remove_if_present(path)
    sync_folder(files.output.parent)
    return checkpoint.to_finished_run()


def _finish_details(files: RunFiles, checkpoint: Checkpoint) -> None:
    if checkpoint.before is not None:
        _extend_details(files, checkpoint.before.lengths.details)
    elif checkpoint.lengths.details:
        move_if_present(files.details_partial, files.details)
    else:
        remove_if_present(files.details)
        remove_if_present(files.details_partial)


def _extend_details(files: RunFiles, kept: int) -> None:
    """Appends the details of a retry to the ``kept`` bytes of the finished ones.

    The partial file is removed last: while it exists, the end of the other one is written again.
    """
    if get_file_size(files.details_partial) is None:
        return
    if (get_file_size(files.details) or 0) < kept:
        raise foreign_file_error(files.details)
    with ExitStack() as stack:
        added = stack.enter_context(files.details_partial.open("rb"))
        details = Appender(files.details, kept)
        stack.callback(details.close)
        while chunk := added.read(CHUNK_SIZE):
            details.append(chunk)
        details.sync()
    if details.length == 0:
        remove_if_present(files.details)
    sync_folder(files.details.parent)
    remove_if_present(files.details_partial)


def _finish_listing(files: RunFiles, checkpoint: Checkpoint) -> None:
    if is_listed(checkpoint.identity):
        move_if_present(files.listing_partial, files.listing)
    elif is_listing(files.listing):
        # This is the listing of the finished run that this one replaces.
        remove_if_present(files.listing)


def complete_reopening(files: RunFiles, checkpoint: Checkpoint) -> None:
    """Turns finished files into partial ones. Can be repeated after a crash."""
    move_if_present(files.output, files.partial)
    move_if_present(files.failed, files.failed_partial)
    move_if_present(files.details, files.details_partial)
    if is_listed(checkpoint.identity):
        move_if_present(files.listing, files.listing_partial)
    move_timeline(files.timeline, files.timeline_partial)
    sync_folder(files.output.parent)


def has_no_outcome(files: RunFiles, checkpoint: Checkpoint) -> bool:
    """Lines copied by a retry do not count."""
    retry = checkpoint.before
    if retry is None:
        has_begun = checkpoint.position.number > 0
    else:
        # Failures that stay are copied, too.
        has_begun = retry.replaced > 0 or (retry.asks_failed and retry.done.failed > 0)
    return not has_begun and next(read_journal(files, checkpoint.generation), None) is None


def remove_replaced(files: RunFiles, identity: Json) -> None:
    """Removes what a new run does not write over: of the unfinished run without outcomes that it replaces."""
    remove_timeline(files.timeline_partial)
    if is_listed(identity):
        remove_if_present(files.listing_partial)


def remove_unfinished(files: RunFiles) -> None:
    """Removes the checkpoint last; without it the other files would be foreign."""
    remove_if_present(files.partial)
    remove_if_present(files.failed_partial)
    remove_if_present(files.details_partial)
    remove_timeline(files.timeline_partial)
    checkpoint = read_checkpoint(files)
    if checkpoint is not None:
        if checkpoint.mode == "merge":
            # Copied from those of the merged runs; nobody has seen the merged output yet.
            remove_if_present(files.decisions)
        if is_listed(checkpoint.identity):
            remove_if_present(files.listing_partial)
        remove_generations(files, next_free_generation(files, checkpoint.generation) - 1)
    remove_if_present(files.checkpoint)


def check_results_unchanged(files: RunFiles, finished: FinishedRun | None) -> None:
    lengths = finished.lengths if finished is not None else FileLengths()
    expected = {
        files.output: None if finished is None else lengths.output,
        files.failed: lengths.failed or None,
        files.details: lengths.details or None,
    }
    for path, length in expected.items():
        size = get_file_size(path)
        if size is not None and size != length:
            raise foreign_file_error(path)
    if (finished is None or not is_listed(finished.identity)) and get_file_size(files.listing) is not None:
        raise foreign_file_error(files.listing)


def _check_partials(files: RunFiles, checkpoint: Checkpoint | None) -> None:
    extends_listing = checkpoint is not None and checkpoint.before is None and is_listed(checkpoint.identity)
    if not extends_listing and get_file_size(files.listing_partial) is not None:
        raise foreign_file_error(files.listing_partial)
    if checkpoint is None:
        for path in (files.partial, files.failed_partial, files.details_partial, files.journal_generation(1)):
            if get_file_size(path) is not None:
                raise foreign_file_error(path)
        return
    for path, length in (
        (files.partial, checkpoint.lengths.output),
        (files.failed_partial, checkpoint.lengths.failed),
        (files.details_partial, checkpoint.lengths.details),
    ):
        size = get_file_size(path)
        if size is not None and size < length:
            raise foreign_file_error(path)
    if checkpoint.format < DETAILS_FORMAT and get_file_size(files.details_partial):
        raise foreign_file_error(files.details_partial)


def check_nothing_missing(files: RunFiles, found: FoundRuns) -> None:
    if found.unfinished is not None:
        expected = {
            files.partial: found.unfinished.lengths.output,
            files.failed_partial: found.unfinished.lengths.failed,
        }
    elif found.finished is not None:
        expected = {files.output: 1, files.failed: found.finished.lengths.failed}
    else:
        return
    for path, length in expected.items():
        if length and get_file_size(path) is None:
            raise SettingsError(f"{path} is missing: restore it, or {START_AGAIN}")


def check_settings_unchanged(old: Json, new: Json) -> None:
    for name in (*old, *(name for name in new if name not in old)):
        before, now = old.get(name), new.get(name)
        if is_same_tag(name, before, now) or (name in (LISTING, *BUILT_IN_DIGESTS) and before is None):
            continue
        if name == LISTING and now is None:
            raise SettingsError(
                "the rows of this run were the images of a folder or pattern, and the input is something else now: "
                f"give only that folder or pattern, choose another -o, or {START_AGAIN}"
            )
        if name in BUILT_IN_DIGESTS and before != now:
            raise SettingsError(
                f"{BUILT_IN_DIGESTS[name]} have changed through an upgrade of persqa_client since this run was started "
                f"({name}): use the version that started it, choose another -o, or {START_AGAIN}"
            )
        if before != now:
            start = find_difference(before, now)
            old_text, new_text = _format_setting(name, before, start), _format_setting(name, now, start)
            change = f"was {old_text} in this run and is {new_text} now"
            if old_text == new_text:
                hidden = "a part that is not shown (a possible key, or the end of a long value)"
                change = f"({new_text}) differs from its value in this run in {hidden}"
            raise SettingsError(f"the setting {name} {change}: use the old value, choose another -o, or {START_AGAIN}")


def find_changed_setting(old: Json, new: Json) -> tuple[str, str, str] | None:
    """The name of the first setting that differs, and its values in words; None if all are equal."""
    for name in dict.fromkeys((*old, *new)):
        before, now = old.get(name), new.get(name)
        if before != now and not is_same_tag(name, before, now):
            start = find_difference(before, now)
            return name, _format_setting(name, before, start), _format_setting(name, now, start)
    return None


def is_same_tag(name: str, before: object, now: object) -> bool:
    """A tag may be given with its brackets, or without."""
    if name != "tag" or not isinstance(before, str) or not isinstance(now, str):
        return False
    return TAG_BRACKETS.sub(r"\1", before.strip()) == TAG_BRACKETS.sub(r"\1", now.strip())


def find_difference(before: object, now: object) -> int:
    """The place where two long texts begin to differ, or a little before it; 0 for other values."""
    if not isinstance(before, str) or not isinstance(now, str):
        return 0
    pairs = enumerate(zip(before, now, strict=False))
    same = next((place for place, (old, new) in pairs if old != new), min(len(before), len(now)))
    return max(0, same - SHOWN_BEFORE) if same > MAX_SHOWN - SHOWN_BEFORE else 0


def _format_setting(name: str, value: object, start: int = 0) -> str:
    """``start``: where a text is shown from."""
    if value is None:
        return "not set"
    if start and isinstance(value, str):
        value = f"…{value[start:]}"
    text = dump_compact(mask_secrets(value) if name == EXTRA_BODY else value).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
