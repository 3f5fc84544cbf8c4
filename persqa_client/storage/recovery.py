"""Finds the runs whose files lie at an output, and completes or refuses them.

A file is foreign if no run wrote it, or if it was changed since. Foreign files are never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact
from persqa_client.storage.checkpoint import (
    Checkpoint,
    FileLengths,
    FinishedRun,
    foreign_file_error,
    read_checkpoint,
    read_run_file,
    write_run_file,
)
from persqa_client.storage.durable import (
    get_file_size,
    move_if_present,
    remove_if_present,
    sync_folder,
    temporary_path,
)
from persqa_client.storage.journal import next_free_generation, read_journal, remove_generations
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json

# Digests of built-in texts, as members of a run's identity. Runs of earlier versions lack them and can be resumed.
BUILT_IN_DIGESTS = {"bank-digest": "the built-in questions", "prompts-digest": "the built-in prompts"}


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """Both exist during a retry or a fresh run, which replaces the finished one at its end."""

    unfinished: Checkpoint | None
    finished: FinishedRun | None


def find_runs(files: RunFiles) -> FoundRuns:
    """Reads the state of a run, after completing a finish or a reopening that a crash interrupted.

    Raises SettingsError if one of the files is foreign.
    """
    checkpoint = read_checkpoint(files)
    if checkpoint is not None and checkpoint.phase == "finishing":
        complete_finish(files, checkpoint)
        checkpoint = None
    if checkpoint is not None and checkpoint.phase == "reopening":
        complete_reopening(files)
        checkpoint = replace(checkpoint, phase="running")
    finished = read_run_file(files)
    check_results_unchanged(files, finished)
    _check_partials(files, checkpoint)
    return FoundRuns(checkpoint, finished)


def complete_finish(files: RunFiles, checkpoint: Checkpoint) -> None:
    """The last steps of a run. May be repeated after a crash."""
    if checkpoint.lengths.failed:
        move_if_present(files.failed_partial, files.failed)
    else:
        remove_if_present(files.failed)
        remove_if_present(files.failed_partial)
    move_if_present(files.partial, files.output)
    sync_folder(files.output.parent)
    write_run_file(files, checkpoint)
    remove_generations(files, checkpoint.generation)
    for path in (temporary_path(files.run), temporary_path(files.checkpoint), files.checkpoint):
        remove_if_present(path)
    sync_folder(files.output.parent)


def complete_reopening(files: RunFiles) -> None:
    """Makes a finished run's files partial again. May be repeated after a crash."""
    move_if_present(files.output, files.partial)
    move_if_present(files.failed, files.failed_partial)
    sync_folder(files.output.parent)


def has_no_outcome(files: RunFiles, checkpoint: Checkpoint) -> bool:
    """Whether an unfinished run has no outcome that would be lost. Lines that a retry has copied do not count."""
    retry = checkpoint.before
    has_begun = checkpoint.position.number > 0 if retry is None else retry.done.failed > 0
    return not has_begun and next(read_journal(files, checkpoint.generation), None) is None


def remove_unfinished(files: RunFiles) -> None:
    """Removes the checkpoint last: without it the other files would be foreign."""
    remove_if_present(files.partial)
    remove_if_present(files.failed_partial)
    checkpoint = read_checkpoint(files)
    if checkpoint is not None:
        remove_generations(files, next_free_generation(files, checkpoint.generation) - 1)
    remove_if_present(files.checkpoint)


def check_results_unchanged(files: RunFiles, finished: FinishedRun | None) -> None:
    """Raises SettingsError if the output or failure file does not have the size noted in the run file."""
    lengths = finished.lengths if finished is not None else FileLengths()
    expected = {files.output: None if finished is None else lengths.output, files.failed: lengths.failed or None}
    for path, length in expected.items():
        size = get_file_size(path)
        if size is not None and size != length:
            raise foreign_file_error(path)


def _check_partials(files: RunFiles, checkpoint: Checkpoint | None) -> None:
    if checkpoint is None:
        for path in (files.partial, files.failed_partial, files.journal_generation(1)):
            if get_file_size(path) is not None:
                raise foreign_file_error(path)
        return
    for path, length in (
        (files.partial, checkpoint.lengths.output),
        (files.failed_partial, checkpoint.lengths.failed),
    ):
        size = get_file_size(path)
        if size is not None and size < length:
            raise foreign_file_error(path)


def check_nothing_missing(files: RunFiles, found: FoundRuns) -> None:
    """Raises SettingsError if a file is missing that the run needs."""
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
            raise SettingsError(f"{path} is missing: restore it, or start again with --fresh")


def check_settings_unchanged(old: Json, new: Json) -> None:
    """Raises SettingsError with the name of the first setting that differs."""
    for name in (*old, *(name for name in new if name not in old)):
        before, now = old.get(name), new.get(name)
        if name in BUILT_IN_DIGESTS and before is None:
            continue
        if name in BUILT_IN_DIGESTS and before != now:
            raise SettingsError(
                f"{BUILT_IN_DIGESTS[name]} have changed since this run was started, with an upgrade of persqa_client "
                f"({name}): use the version that started it, choose another -o, or start again with --fresh"
            )
        if before != now:
            raise SettingsError(
                f"the setting {name} was {_format_setting(before)} in this run and is {_format_setting(now)} now: "
                "use the old value, choose another -o, or start again with --fresh"
            )


def _format_setting(value: object) -> str:
    if value is None:
        return "not set"
    text = dump_compact(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
