"""Opens the inputs of a run: files, folders, patterns of names, several of them, standard input."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from persqa_client.errors import RowError, SettingsError
from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.images.references import ANY_URL, FILE_URL, parse_local_path
from persqa_client.inputs.compressed import CompressedSource
from persqa_client.inputs.concept_files import FILE_LAYOUTS, ConceptFileSource, find_file_layout
from persqa_client.inputs.dataset_info import is_dataset_info, list_data_set_files
from persqa_client.inputs.detect import SUPPORTED_INPUTS, Detected, detect_input
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.folders import FolderSource
from persqa_client.inputs.json_values import JsonValuesSource
from persqa_client.inputs.layouts import check_first_rows, iter_objects, looks_like_reference
from persqa_client.inputs.listed import is_never_left_out
from persqa_client.inputs.overlaps import describe_overlap, refuse_repeated_inputs
from persqa_client.inputs.packed_files import ArrowSource, PackedSource, ParquetSource, find_dataset_files
from persqa_client.inputs.path_lists import PathListSource
from persqa_client.inputs.patterns import (
    Matches,
    PatternSource,
    find_matches,
    find_root,
    is_image_file,
    is_pattern,
)
from persqa_client.inputs.row_layouts import ROW_LAYOUTS, LayoutSource, find_row_layout, read_several_as_before
from persqa_client.inputs.sources import ImagesSource, SeveralSource, Source
from persqa_client.inputs.stored import open_stored
from persqa_client.inputs.tables import TableSource
from persqa_client.inputs.tar_samples import TarSource
from persqa_client.stores.paths import is_object_url
from persqa_client.suggestions import suggest_path
from persqa_client.types import Json, Position, RowLayoutChoice
from persqa_client.urls import expand_home, explain_unreachable_path

STANDARD_INPUT = "-"
# Kinds of files with rows.
FILE_KINDS = ("lines", "values", "table", "paths", "gzip", "zstd", "parquet", "arrow", "tar")
# Kinds whose rows are objects of their own.
LAYOUT_KINDS = ("lines", "values", "gzip", "zstd", "parquet", "arrow", "tar")


def open_inputs(
    inputs: Sequence[str | Path],
    image_key: str,
    *,
    standard_input: BinaryIO | None = None,
    leave_out: Callable[[Path], bool] = is_never_left_out,
    lists_images: bool = False,
    row_layout: RowLayoutChoice = "auto",
    fetches: bool = False,
    local_only: bool = False,
) -> Source:
    """One source for all inputs. ``standard_input`` is what the name ``-`` reads. ``leave_out``: which matches of a
    pattern are no inputs, and which files of a folder are not reported as skipped, such as the files of the run.
    ``lists_images``: whether the run has a listing. Other matches of its pattern are then skipped. ``row_layout``:
    whether rows in the layout of another program are made into rows of a run. ``fetches``: whether rows may name their
    pictures by URL. ``local_only``: whether inputs in object stores are refused.

    Raises SettingsError if one of them is of another kind, does not exist, or is given twice.
    """
    names = [name_local(os.fspath(each)) for each in inputs]
    if local_only and (stored := next(filter(is_object_url, names), None)) is not None:
        raise SettingsError(f"--local-only: {stored} is in an object store; copy it to a disk of this machine.")
    if not names:
        raise SettingsError(f"No input is given; {SUPPORTED_INPUTS}.")
    if standard_input is not None and STANDARD_INPUT in names:
        if len(names) > 1:
            raise SettingsError("- (standard input) can't be combined with other inputs; write it to a file first.")
        return spool_standard_input(standard_input, image_key, row_layout, fetches=fetches)
    if lists_images and len(names) == 1 and is_pattern(names[0]):
        return open_listed_pattern(names[0], image_key, leave_out)
    sources = [source for name in names for source in open_name(name, image_key, leave_out, row_layout, fetches)]
    is_one = len(names) == len(sources) == 1 and (isinstance(sources[0], PatternSource) or not is_pattern(names[0]))
    if is_one:
        return sources[0]
    refuse_repeated_inputs(sources)
    return SeveralSource(sources, names, warning=describe_overlap(sources))


def names_input(text: str) -> bool:
    """Whether the text names an input that is not a single image."""
    return is_pattern(text) if looks_like_reference(text) else is_pattern(text) or os.path.exists(text)


def name_local(name: str) -> str:
    """The path of a ``file://`` URL; any other name as it is. Raises SettingsError for one of another machine."""
    if not FILE_URL.fullmatch(name):
        return name
    try:
        return parse_local_path(name)
    except RowError as error:
        raise SettingsError(f"The input {name} {error.message}") from error


def expand_existing(name: str | Path) -> str | Path:
    """Expands ``~`` in an existing input. Patterns are expanded where they are matched."""
    expanded = expand_home(name)
    return str(expanded) if str(name).startswith("~") and expanded.exists() else name


def open_name(
    name: str, image_key: str, leave_out: Callable[[Path], bool], row_layout: RowLayoutChoice, fetches: bool
) -> Iterator[Source]:
    if is_object_url(name):
        yield from open_stored(
            name, image_key, partial(open_rows_file, image_key=image_key, row_layout=row_layout, fetches=fetches)
        )
    elif is_pattern(name):
        yield from open_pattern(name, image_key, leave_out, row_layout, fetches)
    else:
        yield open_source(Path(name), image_key, name=name, leave_out=leave_out, row_layout=row_layout, fetches=fetches)


def find_any_matches(pattern: str) -> Matches:
    matches = find_matches(pattern)
    if matches.paths:
        return matches
    if warnings := matches.warnings(pattern):
        raise SettingsError(f"{' '.join(warnings)} It matches no other file.")
    folder = find_root(pattern)
    reason = "" if folder.is_dir() else f": there is no folder {folder}{suggest_path(folder)}"
    raise SettingsError(f"The pattern {pattern} matches no file{reason}; check it, or the working directory.")


def open_listed_pattern(pattern: str, image_key: str, leave_out: Callable[[Path], bool]) -> Source:
    """Its rows stay images: other files and folders would not keep their place behind them."""
    others = [name for name in find_any_matches(pattern).paths if not is_image_file(name) and not leave_out(Path(name))]
    return PatternSource(pattern, image_key, others)


def open_pattern(
    pattern: str, image_key: str, leave_out: Callable[[Path], bool], row_layout: RowLayoutChoice, fetches: bool
) -> Iterator[Source]:
    """A pattern that matches only images is one source. Later runs find the images that have appeared since."""
    matches = find_any_matches(pattern)
    images: list[str] = []
    others: list[Source] = []
    for match in matches.paths:
        if is_image_file(match):
            images.append(match)
            continue
        if leave_out(Path(match)):
            continue
        if not os.path.exists(match):
            raise SettingsError(
                f"The pattern {pattern} matches {match}, a link to a file that does not exist; restore that file, or "
                "remove the link."
            )
        if images:
            others.append(ImagesSource(images, image_key))
            images = []
        others.append(open_source(Path(match), image_key, leave_out=leave_out, row_layout=row_layout, fetches=fetches))
    if not images and not others:
        raise SettingsError(f"The pattern {pattern} matches no file but those of this run's output; check both.")
    if not others:
        yield PatternSource(pattern, image_key)
        return
    yield from others
    warnings = matches.warnings(pattern)
    if images or warnings:
        yield ImagesSource(images, image_key, warnings)


def open_source(
    path: Path,
    image_key: str,
    *,
    name: str = "",
    leave_out: Callable[[Path], bool] = is_never_left_out,
    row_layout: RowLayoutChoice = "auto",
    fetches: bool = False,
) -> Source:
    """Raises SettingsError if the path is neither a file with rows nor a folder."""
    if os.path.isdir(path):
        return open_folder(path, image_key, leave_out, row_layout, fetches=fetches)
    if path.suffix.lower() in IMAGE_SUFFIXES and os.path.exists(path):
        return ImagesSource([os.fspath(path)], image_key)
    if os.path.isfile(path):
        return open_rows_file(path, image_key, row_layout, fetches=fetches)
    if os.path.exists(path):
        piped = "give - and pipe the rows into the command"
        raise SettingsError(f"The input {path} is neither a file nor a folder; {piped}, or {SUPPORTED_INPUTS}.")
    if ANY_URL.match(name):
        raise SettingsError(f"The input {name} is a URL; download it, and give the file.")
    if (reason := explain_unreachable_path(path)) is not None:
        raise SettingsError(f"The input {path} cannot be read ({reason}): check it, and the folders above it.")
    raise SettingsError(f"The input {path} does not exist{suggest_path(path)}; {SUPPORTED_INPUTS}.")


def open_rows_file(
    path: Path, image_key: str, row_layout: RowLayoutChoice = "auto", *, fetches: bool = False
) -> Source:
    """Raises SettingsError if it has no rows."""
    detected = detect_input(path, image_key)
    source = make_file_source(path, detected, image_key)
    if row_layout == "auto" and detected.kind in LAYOUT_KINDS and isinstance(source, FileSource):
        source = recognise_layout(source, image_key)
    remarks = check_first_rows(source, image_key, fetches=fetches)
    if isinstance(source, FileSource):
        source.remarks = remarks
    return source


def open_folder(
    path: Path, image_key: str, leave_out: Callable[[Path], bool], row_layout: RowLayoutChoice, *, fetches: bool
) -> Source:
    """Images come first: files of many rows are read only if the folder has none. Raises SettingsError."""
    folder = FolderSource(path, image_key, leave_out)
    files = find_dataset_files(path)
    if not files or folder.has_names():
        return folder
    sources = [open_source(file, image_key, row_layout=row_layout, fetches=fetches) for file in files]
    return SeveralSource(sources, [os.fspath(path)])


def make_file_source(path: Path, detected: Detected, image_key: str) -> Source:
    match detected.kind:
        case "image":
            return ImagesSource([os.fspath(path)], image_key)
        case "lines":
            return FileSource(path)
        case "values":
            return JsonValuesSource(path)
        case "table":
            return TableSource(path, detected.delimiter, image_key)
        case "paths":
            return PathListSource(path, image_key)
        case "gzip" | "zstd":
            return CompressedSource(path, detected.kind)
        case "parquet":
            return ParquetSource(path)
        case "arrow":
            return ArrowSource(path)
        case "tar":
            return TarSource(path, image_key)


def recognise_layout(source: FileSource, image_key: str) -> Source:
    """The same rows, read as those of the program that wrote them. Raises SettingsError if they are in other files that
    can't be read.
    """
    whole = None if isinstance(source, PackedSource) else find_only_object(source, image_key)
    if whole is not None and is_dataset_info(whole):
        return open_data_sets(source.path, whole, image_key)
    if whole is not None and (file_layout := find_file_layout(whole)) is not None:
        return ConceptFileSource(source.path, file_layout, image_key)
    layout = find_row_layout(source, image_key)
    return source if layout is None else LayoutSource(source, layout, image_key)


def find_only_object(source: FileSource, image_key: str) -> Json | None:
    first = [fields for _, _, fields in islice(iter_objects(source, image_key), 2)]
    return first[0] if len(first) == 1 else None


def open_data_sets(path: Path, fields: Json, image_key: str) -> Source:
    sources: list[Source] = []
    for file, layout in list_data_set_files(path, fields):
        source = make_file_source(file, detect_input(file, image_key), image_key)
        if not isinstance(source, FileSource) or source.kind not in LAYOUT_KINDS:
            raise SettingsError(f"The input {path} names {file}, which is neither a JSONL file nor a JSON array.")
        sources.append(LayoutSource(source, layout, image_key))
    return SeveralSource(sources, [str(path)])


def read_as_before(source: Source, stamp: Json | None, reached: Position, image_key: str) -> Source:
    """The input as the run with this fingerprint has read it, up to ``reached``. What was appended since may look like
    another kind.

    Earlier versions read rows of other layouts by their own fields.
    """
    if isinstance(source, SeveralSource):
        return read_several_as_before(source, reached)
    if not isinstance(source, FileSource) or stamp is None:
        return source
    name = stamp.get("layout", "")
    if name in FILE_LAYOUTS:
        return ConceptFileSource(source.path, FILE_LAYOUTS[name], image_key)
    own: Source = source.source if isinstance(source, LayoutSource) else source
    if stamp.get("kind") in FILE_KINDS and (stamp["kind"] != source.kind or isinstance(source, ConceptFileSource)):
        own = make_file_source(source.path, Detected(stamp["kind"], stamp.get("delimiter", ",")), image_key)
    layout = ROW_LAYOUTS.get(name)
    return own if layout is None or not isinstance(own, FileSource) else LayoutSource(own, layout, image_key)


def spool_standard_input(stream: BinaryIO, image_key: str, row_layout: RowLayoutChoice, *, fetches: bool) -> Source:
    """Copied to a temporary file first, because rows are read more than once."""
    folder = tempfile.mkdtemp(prefix="persqa-")
    path = Path(folder) / STANDARD_INPUT
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file)
    try:
        source = open_source(path, image_key, row_layout=row_layout, fetches=fetches)
        if isinstance(source, ImagesSource):
            raise SettingsError("Standard input is an image, not rows; give the path of its file instead of -.")
        return SpooledSource(source, folder)
    except SettingsError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise SettingsError(str(error).replace(f"The input {path}", "Standard input")) from error


class SpooledSource:
    name = "-"

    def __init__(self, source: Source, folder: str) -> None:
        self.source = source
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def fingerprint(self) -> None:
        return None

    def progress_total(self) -> int | None:
        return self.source.progress_total()

    def progress_at(self, position: Position) -> int:
        return self.source.progress_at(position)

    def warnings(self) -> tuple[str, ...]:
        return (
            "Standard input is read only once: if this run is interrupted, it can't be resumed, unless the same rows "
            "are piped in again.",
            *self.source.warnings(),
        )

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        return self.source.lines(start)

    def digest_at(self, position: Position) -> str:
        return self.source.digest_at(position)
