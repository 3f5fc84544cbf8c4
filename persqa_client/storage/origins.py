"""Where the relative paths in a file of an earlier run start, as its run file or its checkpoint has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.jsonl import load_object
from persqa_client.storage.durable import read_if_present
from persqa_client.storage.run_files import SUFFIXES, RunFiles, remove_suffix
from persqa_client.types import Json

# Of a stamp: how the file is read.
KIND_MEMBERS: tuple[str, ...] = ("kind", "delimiter")


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
    """Of a resumed run: the roots of all its starts. Paths are written as before; by earlier versions, as given."""
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
