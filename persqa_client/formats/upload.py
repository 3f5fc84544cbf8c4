"""Exports to an object store: written on a disk first, beside the outputs, then sent file by file.

The description is sent last, so an export without one is not complete. Until then ``exporting.json`` says which files
are sent and with which content. The next export to the place goes on with those that are missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from persqa_client.errors import SettingsError, StorageError
from persqa_client.formats.export import ExportReport, ExportSettings, OnStep, export_runs, ignore_step
from persqa_client.formats.export_target import (
    description_path,
    hash_written_file,
    is_file_target,
    list_entries,
    list_files_below,
    read_description,
    remove_folder,
    write_json_file,
)
from persqa_client.inputs.own_exports import DESCRIPTION, TOOL
from persqa_client.jsonl import load_object
from persqa_client.storage.durable import write_error
from persqa_client.stores.access import explain_store_error, list_objects, remove_object, upload_file
from persqa_client.stores.paths import ObjectPath
from persqa_client.types import Json

# The file of an export that is being sent: the digests of its files, and the names of all that may be there.
MARKER = "exporting.json"
# Files that are sent at the same time.
UPLOADS = 4


class Present(NamedTuple):
    """The files at the target: their sizes by name, and their entries in earlier exports."""

    sizes: Mapping[str, int]
    description: Json | None = None
    marker: Json | None = None

    @property
    def own_names(self) -> set[str]:
        described = list_entries(self.description or {}) | list_entries(self.marker or {})
        return described | {DESCRIPTION, MARKER}


class UploadPlan(NamedTuple):
    """Names of files. What is removed first is not what the new export has under its name."""

    remove: list[str]
    send: list[str]


def plan_upload(present: Present, sizes: Mapping[str, int], digests: Mapping[str, str]) -> UploadPlan:
    """``sizes`` and ``digests``: of the files of the new export. What an export that was stopped has sent stays."""
    sent = (present.marker or {}).get("digests") or {}
    kept = {
        name
        for name, size in sizes.items()
        if present.sizes.get(name) == size and sent.get(name) == digests[name] and name != DESCRIPTION
    }
    remove = sorted(present.sizes.keys() - kept - {MARKER}, key=lambda name: (name != DESCRIPTION, name))
    send = sorted(sizes.keys() - kept, key=lambda name: (name == DESCRIPTION, name))
    return UploadPlan(remove, send)


def write_export(outputs: Sequence[Path], settings: ExportSettings, on_step: OnStep = ignore_step) -> ExportReport:
    """Does the same as ``export_runs``, also for a target in an object store. Raises the same errors.

    A StorageError may leave a part of the files there.
    """
    target = settings.target
    if not isinstance(target, ObjectPath):
        return export_runs(outputs, settings, on_step=on_step)
    if settings.absolute:
        raise SettingsError("--paths absolute names folders of this machine: an export to a store has relative paths")
    if not target.parts[2:]:
        raise SettingsError(f"{target} is a whole bucket: give -o a folder in it, such as {target}/dataset")
    try:
        present = find_present(target)
        check_present(target, present, force=settings.force)
    except (SettingsError, StorageError):
        raise
    except Exception as error:  # each store has its own exceptions
        raise SettingsError(f"{target} can't be read: {explain_store_error(error)}.") from error
    licence = str((present.description or {}).get("licence", ""))
    with open_staging(target, outputs) as folder:
        local = replace(settings, target=folder / target.name, force=False, licence=licence)
        report = export_named(outputs, local, target, on_step)
        try:
            send_files(local.target, target, present, on_step)
        except OSError as error:
            raise StorageError(f"{target} can't be written: {explain_store_error(error)}.") from error
    report.target = target
    return report


def export_named(outputs: Sequence[Path], local: ExportSettings, target: ObjectPath, on_step: OnStep) -> ExportReport:
    """Messages name the target instead of the folder beside the outputs."""
    try:
        return export_runs(outputs, local, on_step=on_step)
    except SettingsError as error:
        raise SettingsError(str(error).replace(str(local.target), str(target))) from error


def find_present(target: ObjectPath) -> Present:
    """Raises SettingsError, and what the store raises."""
    if is_file_target(target):
        paths = {target.name: target, description_path(target).name: ObjectPath(str(description_path(target)))}
        sizes = {name: path.status.size for name, path in paths.items() if path.is_file()}
        description = read_description(target) if description_path(target).name in sizes else None
        # The description alone is what a stopped export has sent.
        return Present({} if description is not None and len(sizes) == 1 else sizes, description)
    sizes = dict(list_objects(str(target)))
    marker = load_object((target / MARKER).read_bytes()) if MARKER in sizes else None
    if marker is not None and marker.get("tool") != TOOL:
        marker = None
    return Present(sizes, read_description(target) if DESCRIPTION in sizes else None, marker)


def check_present(target: ObjectPath, present: Present, *, force: bool) -> None:
    """Raises SettingsError if something would be lost."""
    if not present.sizes:
        return
    if present.description is None and present.marker is None:
        raise SettingsError(f"{target} has files that no export wrote: choose another -o")
    if present.description is not None and not force:
        raise SettingsError(f"{target} has an export: choose another -o, or replace it with --force")
    own = present.own_names | ({target.name, description_path(target).name} if is_file_target(target) else set())
    if foreign := sorted(present.sizes.keys() - own):
        raise SettingsError(f"{target} also has {foreign[0]!r}, which no export wrote: move it, or choose another -o")


@contextmanager
def open_staging(target: ObjectPath, outputs: Sequence[Path]) -> Iterator[Path]:
    """A new folder beside the first output, which is removed at the end. That of a killed export is removed first.

    Raises SettingsError if another export writes to the same place, and StorageError if the folder can't be written.
    """
    folder = outputs[0].absolute().parent / f".{sha256(str(target).encode()).hexdigest()[:16]}.uploading"
    lock = FileLock(f"{folder}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise SettingsError(f"another export is writing {target}: wait until it ends, or choose another -o") from error
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        remove_folder(folder)
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def send_files(local: Path, target: ObjectPath, present: Present, on_step: OnStep) -> None:
    """Raises OSError."""
    files = list_local_files(local)
    if local.is_file():
        # The description first, as on a disk.
        for number, name in enumerate(sorted(files, key=lambda name: name == local.name), 1):
            on_step("upload", number)
            call_store(upload_file, files[name], str(target.with_name(name)))
        return
    sizes = {name: path.stat().st_size for name, path in files.items()}
    digests = {name: hash_written_file(path) for name, path in files.items()}
    plan = plan_upload(present, sizes, digests)
    *parts, last = plan.send
    entries = sorted((present.own_names & present.sizes.keys()) | sizes.keys())

    def send_marker(names: Iterable[str]) -> None:
        path = local.parent / MARKER
        write_json_file(path, {"tool": TOOL, "digests": {name: digests[name] for name in names}, "entries": entries})
        call_store(upload_file, path, str(target / MARKER))

    if plan.remove:
        # Without it, what is left after an interruption would be files that no export wrote.
        send_marker(sorted(sizes.keys() - set(plan.send)))
    for name in plan.remove:
        call_store(remove_object, str(target / name))
    send_marker(sizes)
    with ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload") as threads:
        sending = [threads.submit(call_store, upload_file, files[name], str(target / name)) for name in parts]
        try:
            for number, each in enumerate(sending, 1):
                each.result()
                on_step("upload", number)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    call_store(upload_file, files[last], str(target / last))
    call_store(remove_object, str(target / MARKER))


def list_local_files(local: Path) -> dict[str, Path]:
    """By their names below the target; of a single file, with its description."""
    if local.is_file():
        return {path.name: path for path in (local, description_path(local))}
    return {path.relative_to(local).as_posix(): path for path in list_files_below(local)}


def call_store(function: Callable[..., None], *arguments: object) -> None:
    """Raises OSError for what goes wrong in the store."""
    try:
        function(*arguments)
    except (SettingsError, OSError):
        raise
    except Exception as error:  # each store has its own exceptions
        raise OSError(explain_store_error(error)) from error
