"""The target of an export: a folder, or one file. It appears under its name when it is complete.

A folder is written beside its place under a hidden name, and renamed at the end. What a killed export left is removed
by the next one to the same place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from persqa_client.errors import SettingsError, StorageError
from persqa_client.inputs.own_exports import DESCRIPTION, load_export
from persqa_client.storage.durable import sync_folder, write_error
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json

# Name of the only file until it is complete.
SINGLE_FILE = "rows"
FILE_SUFFIXES = (".json", ".jsonl")
# File systems write several files together: 2,000 pictures take half a second, and one after the other two.
SYNCS_AT_ONCE = 8
# Names that say that a file of another kind is expected.
OTHER_SUFFIXES = frozenset(
    (
        *(".ndjson", ".csv", ".tsv", ".txt", ".parquet", ".arrow", ".zip", ".tar", ".gz", ".zst"),
        *(".html", ".htm", ".md", ".pdf", ".xlsx", ".xml", ".yaml", ".yml", ".toml"),
    )
)


def is_file_target(target: Path) -> bool:
    """By its suffix, unless it is a folder."""
    return target.suffix.lower() in FILE_SUFFIXES and not target.is_dir()


def description_path(target: Path) -> Path:
    """The path of the description: in the folder, or beside the file."""
    return target.with_name(f"{target.name}.{DESCRIPTION}") if is_file_target(target) else target / DESCRIPTION


def read_description(target: Path) -> Json | None:
    """Reads the description of an earlier export to this place; None if there is none that this program wrote."""
    return load_export(description_path(target))


def check_target(target: Path, outputs: Iterable[Path], *, force: bool) -> None:
    """Raises SettingsError if something would be lost."""
    if target.name in ("", ".."):
        raise SettingsError(f"{target} is the working directory or a folder above it: give -o a new folder")
    if target.suffix.lower() in OTHER_SUFFIXES and not target.is_dir():
        raise SettingsError(
            f"{target}: {target.suffix} files are not written; give -o a folder, or a file that ends in .json or .jsonl"
        )
    above = next(folder for folder in (*target.absolute().parents,) if os.path.lexists(folder))
    if not above.is_dir():
        raise SettingsError(f"{above} is a file, not a folder: choose another -o")
    for output in outputs:
        files = RunFiles.for_output(output)
        if files.includes(target) or files.includes(description_path(target)):
            raise SettingsError(f"{target} is one of the files of the output {output}: choose another -o")
    if is_file_target(target):
        check_file_target(target, force=force)
    else:
        check_folder_target(target, force=force)


def check_file_target(target: Path, *, force: bool) -> None:
    """Checks the file at the target. ``force`` only replaces a file that an export wrote. A description of another file
    is never replaced.
    """
    description = read_description(target)
    is_own = description is not None and target.name in list_entries(description)
    place = description_path(target)
    if os.path.lexists(place) and not is_own:
        raise SettingsError(
            f"the export would be described in {place}, which no export of {target.name} wrote: move it, or choose "
            "another -o"
        )
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise SettingsError(f"{target} is not a regular file: choose another -o")
    if not force:
        raise SettingsError(f"{target} exists: choose another -o, or replace it with --force")
    if description is None:
        raise SettingsError(f"{target} was not written by an export: move it, or choose another -o")
    check_unchanged({target.name: target}, description)


def check_folder_target(target: Path, *, force: bool) -> None:
    """Checks the folder at the target. ``force`` only replaces a folder that has only an earlier export in it."""
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise SettingsError(f"{target} is not a folder: choose another -o (a file must end in .json or .jsonl)")
    if not any(target.iterdir()):
        return
    description = read_description(target)
    if description is None:
        raise SettingsError(f"the folder {target} is not empty: give -o a new folder")
    if not force:
        raise SettingsError(f"the folder {target} has an export: choose another -o, or replace it with --force")
    files = {path.relative_to(target).as_posix(): path for path in list_files_below(target)}
    if foreign := sorted(files.keys() - list_entries(description) - {DESCRIPTION}):
        raise SettingsError(
            f"the folder {target} also has {foreign[0]!r}, which no export wrote: move it, or choose another -o"
        )
    check_unchanged(files, description)


def list_files_below(folder: Path) -> Iterator[Path]:
    """Links are files, whatever they lead to."""
    for place, folders, names in os.walk(folder):
        for name in (*names, *(each for each in folders if os.path.islink(os.path.join(place, each)))):
            yield Path(place, name)


def list_entries(description: Json) -> set[str]:
    """The names of the files of an earlier export."""
    entries = description.get("entries")
    return {each for each in entries if isinstance(each, str)} if isinstance(entries, list) else set()


def check_unchanged(files: Mapping[str, Path], description: Json) -> None:
    """Raises SettingsError if a file of rows has other bytes than the export wrote. Pictures are not compared."""
    digests = description.get("digests")
    known = digests if isinstance(digests, dict) else {}
    for name, path in files.items():
        if name in known and path.is_file() and hash_written_file(path) != known[name]:
            raise SettingsError(f"{path} was changed since it was exported: move it, or choose another -o")


def hash_written_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_target(target: Path) -> Iterator[Path]:
    """A new folder to write into, which becomes the target at the end; with an error it is removed.

    Raises SettingsError if another export writes to the same place, and StorageError if the folder can't be written.
    """
    folder = target.with_name(f".{target.name}.exporting")
    lock = FileLock(target.with_name(f".{target.name}.export.lock"), timeout=0)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        if not os.path.lexists(lock.lock_file):
            # Some folders, such as in /proc, report new files as missing, and FileLock would retry.
            raise SettingsError(f"no file can be made in {target.parent}: choose another -o") from error
        raise SettingsError(f"another export is writing {target}: wait until it ends, or choose another -o") from error
    except OSError as error:
        raise write_error(target, error) from error
    try:
        remove_folder(folder)
        folder.mkdir()
        yield folder
        sync_tree(folder)
        install_file(folder, target) if is_file_target(target) else install_folder(folder, target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        with suppress(OSError, StorageError):
            remove_folder(folder)
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def install_folder(folder: Path, target: Path) -> None:
    """An earlier export is moved away first, so that a kill leaves the old folder, the new one, or none."""
    old = target.with_name(f".{target.name}.replaced")
    remove_folder(old)
    if target.exists():
        os.rename(target, old)
    os.rename(folder, target)
    sync_folder(target.parent)
    remove_folder(old)


def install_file(folder: Path, target: Path) -> None:
    """The description comes first, so that a file without one is not from an export of this version.

    An earlier file is removed before, because it would not be the described one.
    """
    with suppress(FileNotFoundError):
        os.unlink(target)
    os.replace(folder / DESCRIPTION, description_path(target))
    os.replace(folder / SINGLE_FILE, target)
    sync_folder(target.parent)


def sync_tree(folder: Path) -> None:
    """Syncs all files: after a power failure, a renamed folder could otherwise have files without their bytes."""
    with ThreadPoolExecutor(SYNCS_AT_ONCE) as threads:
        for place, _, names in os.walk(folder):
            for _ in threads.map(sync_written_file, [Path(place, name) for name in names]):
                pass
            sync_folder(Path(place))


def sync_written_file(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def write_description(folder: Path, fields: Json) -> None:
    write_json_file(folder / DESCRIPTION, fields)


def write_json_file(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    path.write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")
