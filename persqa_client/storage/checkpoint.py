"""Checkpoint of an unfinished run, and run file of a finished one, with the folders of its images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.keys import hide_secrets
from persqa_client.storage.durable import read_if_present, replace_file
from persqa_client.storage.run_files import SUFFIXES, RunFiles, remove_suffix
from persqa_client.storage.tally import Tally
from persqa_client.types import START_POSITION, Json, Position

FORMAT = 3
# The first format with a details file.
DETAILS_FORMAT = 3
READABLE_FORMATS = (2, FORMAT)
TOOL = "persqa_client"
CHECKPOINT_START = dump_compact({"tool": TOOL})[:-1]
# Member of the identity.
EXTRA_BODY = "extra-body"
# Members of a stamp: how the file is read.
KIND_MEMBERS: tuple[str, ...] = ("kind", "delimiter", "layout")

# Members of the run file that are written by this package; the others come from the caller of ``Ledger.finish``.
OWN_MEMBERS = frozenset(
    ("tool", "format", "output", "identity", "counts", "position", "stamp", "lengths", "seconds"),
)

Phase = Literal["running", "reopening", "keeping", "finishing"]
Mode = Literal["run", "retry", "recheck", "merge"]
State = Literal["new", "resumed", "finished"]


class RunDescription(NamedTuple):
    """Description of a run at its start: settings that must not change; size, time and kind of the input; where paths
    start, and how they are written.
    """

    identity: Json
    stamp: Json | None = None
    folders: Json | None = None


class FileLengths(NamedTuple):
    output: int = 0
    failed: int = 0
    details: int = 0


EMPTY = FileLengths()


# The fields of the next two classes are keys in the checkpoint file.


@dataclass(frozen=True, slots=True)
class RetryProgress:
    """Position of a retry in the old files, and lengths and end of the finished run.

    The old details file is not rewritten, so ``done.details`` equals its length from the start.
    """

    lengths: FileLengths
    done: FileLengths
    until: Position
    # Whether failed tasks are asked again, and answers about pictures that changed; the others are copied.
    asks_failed: bool = True
    asks_changed: bool = False
    # Answers that were asked again and are written.
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state from which a run is resumed.

    The partial files have ``lengths`` for the rows up to ``position``; later outcomes are in the journal from
    ``generation`` on. In a retry or a recheck, the partial details file has only the lines that are appended to the
    finished one.
    """

    identity: Json
    stamp: Json | None
    phase: Phase = "running"
    mode: Mode = "run"
    position: Position = START_POSITION
    lengths: FileLengths = EMPTY
    generation: int = 1
    tally: Json | None = None
    seconds: float = 0.0
    # Only in a retry or a recheck.
    before: RetryProgress | None = None
    # Only in the phase "finishing": members that the caller of ``Ledger.finish`` adds to the run file.
    run: Json | None = None
    # Only in the phase "finishing": the number under which the files of an earlier run are kept.
    kept_number: int | None = None
    # Only in the phase "keeping": the new name of the unfinished run's output, because a fresh run takes the old name.
    kept_as: str | None = None
    # The working directory and the image roots, absolute, and how paths are written; runs of earlier versions lack it.
    folders: Json | None = None
    # Format of the file from which the checkpoint was read.
    format: int = FORMAT

    @property
    def final_lengths(self) -> FileLengths:
        kept = self.before.lengths.details if self.before is not None else 0
        return self.lengths._replace(details=kept + self.lengths.details)

    def without_finished_details(self) -> Checkpoint:
        """The checkpoint to use if the finished details that a retry or a recheck extends are missing."""
        if self.before is None or not self.before.lengths.details:
            return self
        lengths, done = (one._replace(details=0) for one in (self.before.lengths, self.before.done))
        return replace(self, before=replace(self.before, lengths=lengths, done=done))

    def to_finished_run(self) -> FinishedRun:
        counts = self.tally or Tally().to_json()
        return FinishedRun(
            self.identity, self.stamp, self.position, self.final_lengths, counts, self.seconds, self.folders
        )


@dataclass(frozen=True, slots=True)
class FinishedRun:
    identity: Json
    stamp: Json | None
    position: Position
    lengths: FileLengths
    tally: Json
    seconds: float
    folders: Json | None = None

    def to_reopened_checkpoint(self) -> Checkpoint:
        return Checkpoint(
            identity=self.identity,
            stamp=self.stamp,
            phase="reopening",
            position=self.position,
            lengths=self.lengths,
            tally=self.tally,
            seconds=self.seconds,
            folders=self.folders,
        )

    def to_retry_checkpoint(self, *, failed: bool = True, changed: bool = False) -> Checkpoint:
        return Checkpoint(
            identity=self.identity,
            stamp=self.stamp,
            mode="retry",
            tally=self.tally,
            seconds=self.seconds,
            folders=self.folders,
            before=RetryProgress(
                self.lengths, EMPTY._replace(details=self.lengths.details), self.position, failed, changed
            ),
        )


def hide_identity(identity: Json) -> Json:
    """Returns the identity as it is stored, without request fields that may be keys. Earlier versions stored these."""
    return {name: hide_secrets(value) if name == EXTRA_BODY else value for name, value in identity.items()}


def write_checkpoint(files: RunFiles, checkpoint: Checkpoint) -> None:
    fields = asdict(checkpoint)
    for name in ("kept_number", "kept_as", "folders"):
        if fields[name] is None:
            del fields[name]
    # asdict keeps the NamedTuple class, which orjson rejects.
    fields["lengths"] = list(checkpoint.lengths)
    if checkpoint.before is not None:
        fields["before"] |= {"lengths": list(checkpoint.before.lengths), "done": list(checkpoint.before.done)}
        if not checkpoint.before.asks_changed:
            # As in earlier versions.
            for name in ("asks_failed", "asks_changed", "replaced"):
                del fields["before"][name]
    replace_file(files.checkpoint, dump_compact({"tool": TOOL, **fields, "format": FORMAT}) + b"\n")


def is_checkpoint(path: Path) -> bool:
    """Whether it begins as one. A file of another tool, which may be large, is not read further."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(len(CHECKPOINT_START)) == CHECKPOINT_START
    return False


def read_checkpoint(files: RunFiles) -> Checkpoint | None:
    """None without a checkpoint. Raises SettingsError for a foreign file."""
    fields = _read_own_file(files.checkpoint)
    if fields is None:
        return None
    try:
        fields["identity"] = hide_identity(fields["identity"])
        fields["position"] = Position(**fields["position"])
        fields["lengths"] = FileLengths(*fields["lengths"])
        Tally.from_json(fields["tally"] or Tally().to_json())
        before = fields["before"]
        if before is not None:
            lengths, done = FileLengths(*before["lengths"]), FileLengths(*before["done"])
            until = Position(**before["until"])
            fields["before"] = RetryProgress(**{**before, "lengths": lengths, "done": done, "until": until})
        return Checkpoint(**fields)
    except (KeyError, TypeError) as error:
        raise foreign_file_error(files.checkpoint) from error


def write_run_file(files: RunFiles, checkpoint: Checkpoint) -> None:
    fields: Json = {
        **(checkpoint.run or {}),
        "tool": TOOL,
        "format": FORMAT,
        "output": files.output.name,
        "identity": checkpoint.identity,
        "counts": checkpoint.tally,
        "position": asdict(checkpoint.position),
        "stamp": checkpoint.stamp,
        "lengths": checkpoint.final_lengths._asdict(),
        "seconds": checkpoint.seconds,
    }
    if checkpoint.folders is not None:
        fields["folders"] = checkpoint.folders
    text = json.dumps(fields, ensure_ascii=False, indent=2)
    replace_file(files.run, text.encode("utf-8", "backslashreplace") + b"\n")


def read_run_file(files: RunFiles) -> FinishedRun | None:
    """None without a run file. Raises SettingsError if it is foreign or belongs to another output."""
    fields = _read_own_file(files.run)
    if fields is None:
        return None
    if fields.get("output") != files.output.name:
        raise SettingsError(f"{files.run} belongs to the output {fields.get('output')}: choose another -o")
    try:
        Tally.from_json(fields["counts"])
        return FinishedRun(
            identity=hide_identity(fields["identity"]),
            stamp=fields["stamp"],
            position=Position(**fields["position"]),
            lengths=FileLengths(**fields["lengths"]),
            tally=fields["counts"],
            seconds=fields["seconds"],
            folders=fields.get("folders"),
        )
    except (KeyError, TypeError) as error:
        raise foreign_file_error(files.run) from error


def read_run_members(files: RunFiles) -> Json:
    """The members of a run file that the caller of ``Ledger.finish`` added."""
    return {name: value for name, value in (_read_own_file(files.run) or {}).items() if name not in OWN_MEMBERS}


def _read_own_file(path: Path) -> dict[str, Any] | None:
    data = read_if_present(path)
    if data is None:
        return None
    try:
        fields = load_object(data)
    except ValueError as error:
        raise foreign_file_error(path) from error
    if fields.pop("tool", None) != TOOL:
        raise foreign_file_error(path)
    if fields.get("format") not in READABLE_FORMATS:
        raise SettingsError(f"{path} was written by another version of {TOOL}: use that version, or choose another -o")
    return fields


def foreign_file_error(path: Path) -> SettingsError:
    return SettingsError(
        f"{path} exists, but was not written by a run or was changed since: move it, or choose another -o"
    )


def find_recorded_roots(path: Path) -> tuple[Path, ...]:
    """The folders of the run that wrote this output or failure file, if its paths are as they were given."""
    for files in _list_possible_runs(path):
        if path.name not in {each.name for each in (files.output, files.failed, files.partial, files.failed_partial)}:
            continue
        for state in (files.run, files.checkpoint):
            folders = _read_folders(state, files.output.name)
            if folders is not None:
                return tuple(Path(root) for root in folders["image_roots"]) if folders["paths"] == "as-given" else ()
    return ()


def _list_possible_runs(path: Path) -> Iterator[RunFiles]:
    stem = remove_suffix(path.name.removesuffix(".partial"))
    for each in dict.fromkeys((stem, stem.removesuffix(".failed"))):
        for suffix in (*SUFFIXES, ""):
            yield RunFiles.for_output(path.with_name(f"{each}{suffix}"))


def _read_folders(path: Path, output: str) -> Json | None:
    """None if the file says nothing of the folders. A run file names its output."""
    with suppress(SettingsError, ValueError):
        fields = load_object(read_if_present(path) or b"{}")
        folders = fields.get("folders")
        if fields.get("output", output) == output and isinstance(folders, dict):
            return folders if {"image_roots", "paths"} <= folders.keys() else None
    return None


def merge_folders(old: Json | None, new: Json | None) -> Json | None:
    """The folders of a resumed run: the roots of all its starts. Paths are written as at the first start.

    If the run was started by a version that did not store the folders, paths are written as given.
    """
    if new is None or old is None:
        return old if new is None else {**new, "paths": "as-given"}
    given = {"given": old["given"]} if "given" in old else {}
    return {
        **{name: value for name, value in new.items() if name != "given"},
        **given,
        "image_roots": list(dict.fromkeys((*new["image_roots"], *old["image_roots"]))),
        "paths": old["paths"],
    }


def keep_kind(old: Json | None, new: Json | None) -> Json | None:
    """The new stamp of a resumed run, whose input is read as before. Earlier versions did not keep its kind."""
    if old is None or new is None or "kind" not in old:
        return new
    kept = {name: old[name] for name in KIND_MEMBERS if name in old}
    return {**{name: value for name, value in new.items() if name not in KIND_MEMBERS}, **kept}
