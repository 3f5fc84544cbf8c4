"""The folders where the relative paths of a run's images start, and the form in which paths are written."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.fetched_files import FETCHED_FOLDER
from persqa_client.images.references import describe_reference
from persqa_client.inputs.compressed import CompressedSource
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.listed import ListedSource
from persqa_client.inputs.opening import SpooledSource
from persqa_client.inputs.sources import ImagesSource, InMemorySource, Source, list_sources
from persqa_client.inputs.stored import StoredImagesSource
from persqa_client.inputs.written_paths import PathChoice, PathStyle, PathWriter
from persqa_client.run.settings import RunSettings
from persqa_client.storage.checkpoint import find_recorded_roots
from persqa_client.stores.paths import ObjectPath, is_object_url, name_store, restore_object_path
from persqa_client.suggestions import suggest_path
from persqa_client.types import Json


def check_image_root(image_root: Path | None) -> None:
    """Checks the folder. In an object store, it need not exist, but its bucket must exist and be readable."""
    if isinstance(image_root, ObjectPath):
        image_root = ObjectPath(name_store(str(image_root)))
    if image_root is not None and not image_root.is_dir():
        problem = "is not a folder" if image_root.exists() else f"does not exist{suggest_path(image_root)}"
        raise SettingsError(
            f"--image-root: {describe_reference(str(image_root))} {problem}; name the folder where the "
            "rows' image paths start."
        )


def recorded_roots_of(source: Source) -> tuple[Path, ...]:
    """If the input was written by a run: the folders in which that run looked for its images.

    If there are several inputs, their folders must be the same, because each folder is used for all rows.
    """
    files = [each for each in list_sources(source) if isinstance(each, FileSource)]
    found = {find_recorded_roots(each.path) for each in files if not isinstance(each.path, ObjectPath)}
    return found.pop() if len(found) == 1 else ()


def find_input_folder(source: Source, image_root: Path | None) -> Path | None:
    """The folder where relative paths of the rows start. Raises SettingsError if it differs between several inputs."""
    files = [each.path for each in list_sources(source) if isinstance(each, FileSource)]
    folders = list(dict.fromkeys(path.parent for path in files))
    if len(folders) > 1 and image_root is None:
        other = next(path for path in files if path.parent != folders[0])
        raise SettingsError(
            f"The inputs {files[0]} and {other} lie in different folders, so it is not clear where the relative paths "
            "in them start: give that folder with --image-root (. for the working directory)."
        )
    if image_root is None:
        check_same_roots(source)
    return folders[0] if folders else None


def find_image_roots(
    image_root: Path | None, input_folder: Path | None, recorded_roots: tuple[Path, ...] = ()
) -> tuple[Path, ...]:
    if image_root is not None:
        return (image_root,)
    # A dict removes duplicates, for example if the input is in the working directory.
    folders = (Path(),) if input_folder is None else (input_folder, Path())
    if isinstance(input_folder, ObjectPath):
        # The rows of such an input are not about the files of this machine.
        folders = (input_folder,)
    return tuple(dict.fromkeys((*map(restore_object_path, recorded_roots), *folders)))


def list_named_stores(source: Source, image_root: Path | None) -> frozenset[str]:
    """The buckets that the user has named as an input or as the root, whose pictures are read without ``--fetch``."""
    named = [str(image_root)] if isinstance(image_root, ObjectPath) else []
    for each in list_sources(source):
        if isinstance(each, StoredImagesSource):
            named.append(each.root)
        elif isinstance(each, ImagesSource):
            named += filter(is_object_url, each.paths)
        elif isinstance(each, FileSource) and isinstance(each.path, ObjectPath):
            named.append(str(each.path))
    return frozenset(map(name_store, named))


class FetchedFolder:
    """The folder of the pictures that a run downloads. Without an output, it exists as long as this object."""

    def __init__(self, output: Path | None) -> None:
        parent = output.parent if output is not None else Path(tempfile.mkdtemp(prefix="persqa-"))
        self.path = parent / FETCHED_FOLDER
        if output is None:
            weakref.finalize(self, shutil.rmtree, parent, ignore_errors=True)


def make_fetched_folder(settings: RunSettings, stores: frozenset[str]) -> FetchedFolder | None:
    """None if nothing is downloaded."""
    if not settings.fetch and not stores:
        return None
    return FetchedFolder(None if settings.is_stream else settings.output)


def check_same_roots(source: Source) -> None:
    """Raises SettingsError if the recorded folders of an input are not those in which another one would be read."""
    files = [each.path for each in list_sources(source) if isinstance(each, FileSource)]
    recorded = [() if isinstance(path, ObjectPath) else find_recorded_roots(path) for path in files]
    if not any(recorded):
        return
    starts = [list_starts(path, roots) for path, roots in zip(files, recorded, strict=True)]
    other = next((path for path, each in zip(files, starts, strict=True) if each != starts[0]), None)
    if other is not None:
        raise SettingsError(
            f"The relative paths in the inputs {files[0]} and {other} start in different folders, as the runs that "
            "wrote them recorded: give one folder with --image-root, or run each of them alone."
        )


def list_starts(path: Path, recorded: Sequence[Path]) -> list[str]:
    folders = recorded or (path.parent, Path())
    return list(dict.fromkeys(os.path.realpath(each) for each in folders))


def makes_rows(source: Source) -> bool:
    """Whether all rows are generated from the input. Rows of a JSONL file and rows in memory are not."""
    for each in list_sources(source):
        original = each.source if isinstance(each, SpooledSource) else each
        if isinstance(original, InMemorySource) or type(original) in (FileSource, CompressedSource):
            return False
    return True


def describe_folders(
    choice: PathChoice | None, image_roots: Sequence[Path], source: Source, *, is_stream: bool
) -> Json:
    """Returns for the run file where relative paths start, and how paths are written."""
    own: PathStyle = "absolute" if is_stream else "resolvable"
    style = choice or (own if makes_rows(source) else "as-given")
    roots = [str(root) if isinstance(root, ObjectPath) else os.path.abspath(root) for root in image_roots]
    folders = {"working_directory": os.getcwd(), "image_roots": list(dict.fromkeys(roots)), "paths": style}
    if isinstance(source, ListedSource) and style == "resolvable":
        folders["given"] = "absolute" if os.path.isabs(os.path.expanduser(source.name)) else "relative"
    return folders


def choose_style(recorded: Json, own: Json) -> PathStyle:
    """Returns how paths are written.

    If the folder is relative at one start and absolute at another, the form of the first start is used.
    """
    style: PathStyle = recorded["paths"]
    first: PathStyle | None = recorded.get("given")
    return style if first is None or style != "resolvable" or first == own.get("given") else first


class PathWriters(NamedTuple):
    """None for paths that are written as given."""

    rows: PathWriter | None = None
    # For rows that are a file each. Their paths start at the working directory, whatever the roots are.
    listed: PathWriter | None = None


AS_GIVEN = PathWriters()


def make_path_writers(style: PathStyle, roots: Sequence[Path | str], output: Path | None) -> PathWriters:
    """Raises SettingsError for relative paths without an output."""
    if output is None and style == "relative":
        raise SettingsError("--paths relative needs an output file, to whose folder the paths are relative.")
    folder = os.path.realpath(output.parent) if output is not None else ""
    if style == "as-given" or (style == "resolvable" and output is None):
        return AS_GIVEN
    places: list[Sequence[Path | str]] = [roots, [os.curdir]]
    writers = [
        PathWriter(style, tuple(restore_object_path(Path(each)) for each in starts), folder) for starts in places
    ]
    return PathWriters(*(None if resolves_as_given(writer) else writer for writer in writers))


def resolves_as_given(writer: PathWriter) -> bool:
    return writer.style == "resolvable" and all(os.path.realpath(root) == writer.folder for root in writer.roots)
