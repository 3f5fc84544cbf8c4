"""Where the relative paths of a run start, and how they are written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference
from persqa_client.inputs.listed import ListedSource
from persqa_client.inputs.several import list_sources
from persqa_client.inputs.source import Source
from persqa_client.inputs.sources import FileSource, InMemorySource
from persqa_client.inputs.standard_input import SpooledSource
from persqa_client.inputs.written_paths import PathChoice, PathStyle, PathWriter
from persqa_client.storage.origins import find_recorded_roots
from persqa_client.types import Json


def check_image_root(image_root: Path | None) -> None:
    if image_root is not None and not image_root.is_dir():
        problem = "is not a folder" if image_root.exists() else "does not exist"
        raise SettingsError(
            f"--image-root: {describe_reference(str(image_root))} {problem}; name the folder where the "
            "rows' image paths start."
        )


def recorded_roots_of(source: Source) -> tuple[Path, ...]:
    """If the input was written by a run: the folders in which that run looked for its images.

    Those of several inputs must be the same, because each of them is used for all rows.
    """
    files = [each for each in list_sources(source) if isinstance(each, FileSource)]
    found = {find_recorded_roots(each.path) for each in files}
    return found.pop() if len(found) == 1 else ()


def makes_rows(source: Source) -> bool:
    """Whether no row is the user's own bytes, as those of a JSONL file are."""
    for each in list_sources(source):
        original = each.source if isinstance(each, SpooledSource) else each
        if isinstance(original, InMemorySource) or type(original) is FileSource:
            return False
    return True


def describe_folders(
    choice: PathChoice | None, image_roots: Sequence[Path], source: Source, *, is_stream: bool
) -> Json:
    """For the run file: where relative paths start, and how paths are written."""
    own: PathStyle = "absolute" if is_stream else "resolvable"
    style = choice or (own if makes_rows(source) else "as-given")
    roots = [os.path.abspath(root) for root in image_roots]
    folders = {"working_directory": os.getcwd(), "image_roots": list(dict.fromkeys(roots)), "paths": style}
    if isinstance(source, ListedSource) and style == "resolvable":
        folders["given"] = "absolute" if os.path.isabs(os.path.expanduser(source.name)) else "relative"
    return folders


def choose_style(recorded: Json, own: Json) -> PathStyle:
    """A folder may be given in another way than at the first start, whose way decides."""
    style: PathStyle = recorded["paths"]
    first: PathStyle | None = recorded.get("given")
    return style if first is None or style != "resolvable" or first == own.get("given") else first


def make_path_writer(style: PathStyle, roots: Sequence[Path | str], output: Path | None) -> PathWriter | None:
    """None if paths are written as given. Without an output, there is nothing to which they could be relative."""
    if output is None and style == "relative":
        raise SettingsError("--paths relative needs an output file, to whose folder the paths are relative.")
    folder = os.path.realpath(output.parent) if output is not None else ""
    if style == "as-given" or (style == "resolvable" and output is None):
        return None
    if style == "resolvable" and all(os.path.realpath(root) == folder for root in roots):
        return None  # they resolve as they are
    return PathWriter(style, tuple(map(Path, roots)), folder)
