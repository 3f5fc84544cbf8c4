"""Exports the accepted answers of runs into a layout, with their pictures, and a description of where they come from.

The rows are read and written one at a time. The same runs, pictures and settings give the same bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from persqa_client import __version__
from persqa_client.errors import SettingsError
from persqa_client.formats.data_files import DataFiles, PairFiles
from persqa_client.formats.export_target import (
    OTHER_SUFFIXES,
    SINGLE_FILE,
    check_target,
    hash_written_file,
    is_file_target,
    open_target,
    read_description,
    write_description,
    write_json_file,
)
from persqa_client.formats.grouping import RowGrouping, group_rows
from persqa_client.formats.layout import PackedFormat, PictureChoice, RowFiles
from persqa_client.formats.pictures import FOLDER, PictureSettings, PictureWriter
from persqa_client.formats.registry import FORMATS, PACKED_FORMATS, AnyFormat
from persqa_client.formats.row_maker import Decide, RowMaker
from persqa_client.formats.splits import Split
from persqa_client.inputs.own_exports import TOOL
from persqa_client.records.data_record import DataRecord
from persqa_client.records.record_decisions import FAILED, RecordDecisions
from persqa_client.records.run_records import RecordedRun, open_recorded_runs
from persqa_client.stores.paths import restore_object_path
from persqa_client.types import Json

FORMAT = 1
# Rows that are left out and named in the description.
MAX_NAMED = 100
ONLY_PART = "train"
FINISH_IT = "finish the run with the same persqa run command, and export again"
# The card of a data set, for people and for the Hub.
CARD = "README.md"

# For a split, a first pass finds what belongs together, and pictures are compared. Then rows are written.
# What is written to an object store is then sent.
Stage = Literal["group", "compare", "write", "upload"]
OnStep = Callable[[Stage, int], None]
RunRows = Iterator[tuple[DataRecord, RecordedRun]]


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """``pictures`` is None for the first choice of the layout, and "leave" if the target is a file.

    ``details``: adds columns with the run's details of each answer.
    """

    layout: str
    target: Path
    pictures: PictureChoice | None = None
    sent: bool = False
    absolute: bool = False
    split: Split | None = None
    force: bool = False
    details: bool = False
    # Licence of an earlier export that is replaced elsewhere.
    licence: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", restore_object_path(self.target))
        if ".." in self.target.parts:
            # The checks would not find a folder by a way through one that is made later.
            parent, name = os.path.split(self.target)
            object.__setattr__(self, "target", Path(os.path.realpath(parent), name))

    def choose_pictures(self, layout: AnyFormat) -> PictureChoice:
        """Raises SettingsError for what the layout or the target can't hold."""
        is_file = is_file_target(self.target)
        choice = self.pictures or ("leave" if is_file and "leave" in layout.pictures else layout.pictures[0])
        if choice not in layout.pictures:
            possible = " or ".join(layout.pictures)
            raise SettingsError(f"--pictures {choice}: the format {layout.name} has {possible} only")
        if is_file and choice in ("copy", "link"):
            raise SettingsError(f"--pictures {choice} needs a folder for the pictures: give -o a folder, not a file")
        if self.sent and choice in ("leave", "link"):
            raise SettingsError(f"--sent makes new pictures, which --pictures {choice} has no place for: use copy")
        return choice

    def check_place(self, format: AnyFormat) -> None:
        """Raises SettingsError if the target can't hold the files, or the format can't hold the details."""
        if self.details and not (isinstance(format, PackedFormat) and format.has_details):
            those = " and ".join(name for name, each in PACKED_FORMATS.items() if each.has_details)
            raise SettingsError(f"--details: the format {format.name} has no columns for them, only {those} have")
        is_file = is_file_target(self.target)
        if is_file and self.split is not None:
            raise SettingsError(f"--split writes several files: give -o a folder, not {self.target.name}")
        if isinstance(format, PackedFormat):
            is_file = is_file or (self.target.suffix.lower() in OTHER_SUFFIXES and not self.target.is_dir())
        elif format.describe_files is None and format.choose_file is None:
            return
        if is_file:
            raise SettingsError(f"the format {format.name} has several files: give -o a folder, not {self.target.name}")


class LeftOut(NamedTuple):
    id: str
    code: str
    message: str


@dataclass(slots=True)
class ExportReport:
    target: Path
    runs: list[RecordedRun] = field(repr=False)
    # Rows of each file, by name.
    files: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    # The first ones.
    examples: list[LeftOut] = field(default_factory=list)
    picture_files: int = 0
    near_duplicates: int = 0
    # Decisions of people: those that were applied, by kind, and those that were not.
    decisions: dict[str, int] = field(default_factory=dict)
    # Questions without an accepted answer.
    failed: int = 0

    @property
    def row_count(self) -> int:
        return sum(self.files.values())

    def leave_out(self, record: DataRecord, code: str, message: str) -> None:
        self.left_out[code] += 1
        if len(self.examples) < MAX_NAMED:
            self.examples.append(LeftOut(record.id, code, message))


def ignore_step(stage: Stage, number: int) -> None:
    pass


def export_runs(
    outputs: Sequence[Path], settings: ExportSettings, decide: Decide | None = None, on_step: OnStep = ignore_step
) -> ExportReport:
    """``decide``: instead of the decisions of people about the answers, in the files beside the outputs.

    ``on_step`` gets the stage and the number of each row, or of each picture that is compared.

    Raises SettingsError if a run can't be read, nothing is left to write, or something would be replaced.

    Raises StorageError if the target can't be written. Nothing is at the target then, or what was there before.
    """
    format = FORMATS[settings.layout]
    choice = settings.choose_pictures(format)
    settings.check_place(format)
    check_target(settings.target, outputs, force=settings.force)
    runs = open_recorded_runs(list(outputs))
    report = ExportReport(settings.target, runs, failed=sum(run.count_failures() for run in runs))
    decisions = RecordDecisions([run.output for run in runs] if decide is None else [])
    grouping = None
    if settings.split is not None:
        rows = number_rows(iter_rows(runs, decisions), "group", on_step)
        grouping, report.near_duplicates = group_rows(settings.split, rows, partial(on_step, "compare"))
    licence = (read_description(settings.target) or {}).get("licence", settings.licence)
    with open_target(settings.target) as folder:
        pictures = PictureWriter(
            PictureSettings(choice, settings.target, format.limits, settings.sent, settings.absolute), folder
        )
        rows = number_rows(iter_rows(runs, decisions), "write", on_step)
        maker = RowMaker(format, pictures, decide or decisions.apply, report.leave_out)
        files = write_data_rows(folder, rows, settings, maker, grouping)
        report.files = count_file_rows(files, settings.target)
        report.decisions = decisions.count()
        report.failed -= report.decisions.get(FAILED, 0)
        if not report.row_count:
            raise SettingsError(describe_nothing(report))
        report.picture_files = pictures.file_count
        description = describe_export(settings, choice, report, licence)
        further = write_further_files(folder, maker, report, description)
        names = [*report.files, *further]
        others = [each for each in files.list_entries() if each != SINGLE_FILE]
        others += sorted(f"{FOLDER}/{each}" for each in pictures.names)
        write_description(folder, description | list_written_files(folder, names, others))
    return report


def iter_rows(runs: Sequence[RecordedRun], decisions: RecordDecisions) -> RunRows:
    """Yields the accepted answers of each run, then those of failed questions that somebody accepted or edited."""
    for run in runs:
        for record in run.iter_records():
            yield record, run
        if decisions.are_about(run.output):
            for record in run.iter_rejected():
                if decisions.accepts(record, run.output):
                    yield record, run


def number_rows(rows: RunRows, stage: Stage, on_step: OnStep) -> RunRows:
    for number, row in enumerate(rows, 1):
        on_step(stage, number)
        yield row


def write_data_rows(
    folder: Path, rows: RunRows, settings: ExportSettings, maker: RowMaker, grouping: RowGrouping | None
) -> RowFiles:
    with open_row_files(folder, settings, maker.format) as files:
        for record, run in rows:
            row = maker.make_row(record, run)
            if row is not None:
                files.append(grouping.choose_part(record, run) if grouping is not None else ONLY_PART, row)
    return files


def count_file_rows(files: RowFiles, target: Path) -> dict[str, int]:
    """The number of rows in each file, by name. The only file has the name of the target."""
    counts = files.count_rows()
    return {target.name: counts[SINGLE_FILE]} if is_file_target(target) else dict(counts)


def open_row_files(folder: Path, settings: ExportSettings, format: AnyFormat) -> RowFiles:
    parts = [part.name for part in settings.split.parts] if settings.split is not None else [ONLY_PART]
    if isinstance(format, PackedFormat):
        return format.open_files(folder, parts, settings.details)
    if format.choose_file is not None:
        return PairFiles(folder, format.write, has_parts=settings.split is not None)
    is_array = format.suffix == ".json"
    names = {part: f"{part}{format.suffix}" for part in parts}
    if is_file_target(settings.target):
        # The name says that the file has lines.
        is_array = is_array and settings.target.suffix.lower() != ".jsonl"
        names = {ONLY_PART: SINGLE_FILE}
    return DataFiles(folder, names, format.write, is_array=is_array)


def describe_nothing(report: ExportReport) -> str:
    if report.examples:
        first = report.examples[0]
        return f"no row of {name_runs(report.runs)} can be exported; {first.id}: {first.message}"
    if waiting := [run for run in report.runs if run.extent.waiting]:
        count = sum(run.extent.waiting for run in waiting)
        answers = "accepted answer, which waits" if count == 1 else "accepted answers, which wait"
        stored = "the run stored" if len(waiting) == 1 else "the runs stored"
        return (
            f"{name_with_verb(waiting)} no row to export yet: {stored} {count:,} {answers} for an unfinished row "
            f"before; {FINISH_IT}"
        )
    if unfinished := [run for run in report.runs if run.state == "unfinished"]:
        return f"{name_with_verb(unfinished)} no accepted answer yet: {FINISH_IT}"
    return f"{name_with_verb(report.runs)} no accepted answer: nothing is written"


def name_runs(runs: Sequence[RecordedRun]) -> str:
    return ", ".join(str(run.output) for run in runs)


def name_with_verb(runs: Sequence[RecordedRun]) -> str:
    return f"{name_runs(runs)} {'has' if len(runs) == 1 else 'have'}"


def write_further_files(folder: Path, maker: RowMaker, report: ExportReport, description: Json) -> list[str]:
    format, further = maker.format, {}
    if isinstance(format, PackedFormat):
        if format.write_card is None:
            return []
        (folder / CARD).write_text(format.write_card(description), encoding="utf-8", errors="backslashreplace")
        return [CARD]
    if format.describe_files is not None:
        further = dict(format.describe_files(list(report.files), list(maker.characters.values())))
    for name, value in further.items():
        write_json_file(folder / name, value)
    return list(further)


def list_written_files(folder: Path, names: Sequence[str], others: Sequence[str]) -> Json:
    """Describes the export. ``names``: the files of rows, from which the next export to this place decides what it may
    replace.
    """
    # The only file gets its name later.
    paths = {name: folder / name if (folder / name).exists() else folder / SINGLE_FILE for name in names}
    digests = {name: hash_written_file(path) for name, path in paths.items()}
    return {"digests": digests, "entries": list(dict.fromkeys([*names, *others]))}


def describe_export(settings: ExportSettings, choice: PictureChoice, report: ExportReport, licence: str) -> Json:
    """Has no time and no path of this machine, so that equal exports have equal bytes."""
    split = settings.split
    return {
        "tool": TOOL,
        "export": FORMAT,
        "version": __version__,
        "format": settings.layout,
        # For the user to fill in; the next export to this place keeps it.
        "licence": licence,
        "files": report.files,
        **({"details": True} if settings.details else {}),
        "pictures": {"choice": choice, "sent": settings.sent, "files": report.picture_files},
        "split": None
        if split is None
        else {
            "parts": {part.name: part.share for part in split.parts},
            "by": split.by,
            "seed": split.seed,
            "near_duplicates": report.near_duplicates,
        },
        "counts": {
            "rows": report.row_count,
            "failed": report.failed,
            "left_out": dict(sorted(report.left_out.items())),
        },
        "decisions": report.decisions,
        "left_out": [example._asdict() for example in report.examples],
        "runs": [
            {
                "output": run.output.name,
                "name": run.name,
                "state": run.state,
                "model": run.identity.get("model"),
                "settings_digest": run.settings_digest,
                "settings": run.identity,
            }
            for run in report.runs
        ],
    }
