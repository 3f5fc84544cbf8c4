"""Functions for the outputs of runs: an export for a trainer, a page, and a recheck by this version.

The arguments are those of ``persqa export``, ``persqa report`` and ``persqa recheck``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from persqa_client.api.argument_errors import errors_by_arguments, explains_arguments
from persqa_client.api.arguments import check_choice, check_file_name, list_outputs, read_output_path, read_path_of
from persqa_client.argument_names import list_choices, name_arguments
from persqa_client.errors import SettingsError
from persqa_client.formats.export import ExportReport, ExportSettings
from persqa_client.formats.layout import PictureChoice
from persqa_client.formats.registry import FORMATS
from persqa_client.formats.splits import GroupBy, Split, parse_parts
from persqa_client.formats.upload import write_export
from persqa_client.report.page import write_report
from persqa_client.run.recheck import RecheckReport, recheck_run
from persqa_client.storage.output_names import PAGE
from persqa_client.stores.paths import ObjectPath, restore_object_path

ARGUMENTS = (
    "to",
    "target",
    "pictures",
    "sent",
    "paths",
    "split",
    "by",
    "seed",
    "details",
    "force",
    "names",
    "dry_run",
    "page",
)
SWITCHES = ("sent", "details", "force", "dry_run")
CHOICES = {
    "pictures": list_choices(PictureChoice),
    "by": list_choices(GroupBy),
    "paths": frozenset(("relative", "absolute")),
}
Outputs = str | Path | Sequence[str | Path]


def name_target(message: str) -> str:
    return name_arguments(message, ARGUMENTS, SWITCHES, CHOICES, short={"o": "target"})


def name_page(message: str) -> str:
    return name_arguments(message, ARGUMENTS, SWITCHES, CHOICES, short={"o": "page"})


@explains_arguments("export_results", {"output": "the folder or file to write is the second argument, target"})
@errors_by_arguments(words=name_target)
def export_results(
    outputs: Outputs,
    target: str | Path,
    *,
    to: str,
    pictures: PictureChoice | None = None,
    sent: bool = False,
    paths: Literal["relative", "absolute"] = "relative",
    split: str | Mapping[str, float] | None = None,
    by: GroupBy = "picture",
    seed: int = 0,
    details: bool = False,
    force: bool = False,
) -> ExportReport:
    """Writes the accepted answers of runs in the format that a trainer loads, with the decisions about them.

    outputs: output of a run, or several. An unfinished run is exported as far as it got.
    target: new folder, or a file that ends in .json or .jsonl; also in a store, such as ``s3://bucket/folder``.
    to: the format, such as ``"llava"``.
    pictures: copies or links in the folder, the paths of the originals ("leave"), or data in the rows ("embed"); None:
        the first that the format has. sent: pictures as they were sent. paths: how rows name copies and links.
    split: files by their shares, such as ``{"train": 0.9, "val": 0.1}``. by: what stays together. seed: of the split.
    details: also raw text, checks, seed, question id and tokens, in the formats "parquet" and "webdataset".
    force: replaces an earlier export.

    Raises SettingsError if a run can't be read, nothing is left to write, or something would be replaced. Raises
    StorageError if the target can't be written; nothing is changed then.
    """
    check_choice("to", to, FORMATS)
    check_choice("paths", paths, CHOICES["paths"])
    check_choice("by", by, CHOICES["by"])
    if pictures is not None:
        check_choice("pictures", pictures, CHOICES["pictures"])
    parts = None if split is None else Split(parse_parts(write_shares(split)), by, seed)
    settings = ExportSettings(
        to, read_path_of("target", target), pictures, sent, paths == "absolute", parts, force, details
    )
    return write_export(list_outputs(outputs), settings)


@explains_arguments("report_results", {"output": "the page to write is the second argument, page"})
@errors_by_arguments(words=name_page)
def report_results(outputs: Outputs, page: str | Path, *, force: bool = False) -> Path:
    """Writes one HTML page with the pictures, questions, answers and failures of runs, and returns its path.

    force: replaces a file that is not a report. Raises SettingsError and StorageError as ``export_results``.
    """
    path = read_path_of("page", page)
    if isinstance(restore_object_path(path), ObjectPath):
        raise SettingsError(f"page {page} names a file in an object store: give one of this machine.")
    check_file_name("page", path, PAGE)
    write_report(list_outputs(outputs), path, force=force)
    return path


@explains_arguments("recheck_results", {"outputs": "one output is the first argument"})
@errors_by_arguments(words=name_target)
def recheck_results(output: str | Path, *, names: str | Path | None = None, dry_run: bool = False) -> RecheckReport:
    """Applies this version's repairs and checks to the raw answers of a finished run, without a request.

    names: the file of real names, if the run had one. dry_run: counts what would change, and writes nothing.

    Raises SettingsError if the run can't be rechecked, and StorageError if its files can't be written.
    """
    return recheck_run(
        read_output_path(output), names=None if names is None else read_path_of("names", names), dry_run=dry_run
    )


def write_shares(split: object) -> str:
    """The shares as text, as on the command line. Raises SettingsError."""
    if isinstance(split, str):
        return split
    if isinstance(split, Mapping):
        return ",".join(f"{name}={share}" for name, share in split.items())
    raise SettingsError(
        f'split is of the type {type(split).__name__}: give a dict such as {{"train": 0.9, "val": 0.1}}.'
    )
