"""Exports the accepted answers of runs into a layout, with their pictures, and a description of where they come from.

The rows are read and written one at a time. The same runs, pictures and settings give the same bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from persqa_client import __version__
from persqa_client.errors import RowError, SettingsError
from persqa_client.formats.data_files import DataFiles
from persqa_client.formats.export_target import (
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
from persqa_client.formats.image_marks import remove_own_marks
from persqa_client.formats.layout import Character, Layout, PictureChoice
from persqa_client.formats.pair_files import PairFiles
from persqa_client.formats.pictures import FOLDER, PictureSettings, PictureWriter
from persqa_client.formats.registry import LAYOUTS
from persqa_client.formats.sent_pictures import find_sent_form, remove_box
from persqa_client.formats.splits import Split
from persqa_client.inputs.own_exports import TOOL
from persqa_client.records.data_record import DataRecord
from persqa_client.records.record_decisions import RecordDecisions
from persqa_client.records.run_records import RecordedRun, open_recorded_runs
from persqa_client.types import Json

FORMAT = 1
# Reasons for which a row is left out, besides the codes of pictures.
MARK, DECIDED = "mark_in_text", "decision"
# Rows that are left out and named in the description.
MAX_NAMED = 100
ONLY_PART = "train"

# For a split, a first pass finds what belongs together, and pictures are compared. Then rows are written.
Stage = Literal["group", "compare", "write"]
RunRows = Iterator[tuple[DataRecord, RecordedRun]]
# Gets a record and the output that it is from. Returns the record, another one in its place, or None to leave it out.
Decide = Callable[[DataRecord, Path], DataRecord | None]


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """``pictures`` is None for the first choice of the layout, and "leave" if the target is a file."""

    layout: str
    target: Path
    pictures: PictureChoice | None = None
    sent: bool = False
    absolute: bool = False
    split: Split | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if ".." in self.target.parts:
            # The checks would not find a folder by a way through one that is made later.
            parent, name = os.path.split(self.target)
            object.__setattr__(self, "target", Path(os.path.realpath(parent), name))

    def choose_pictures(self, layout: Layout) -> PictureChoice:
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

    def check_file(self, layout: Layout) -> None:
        """Raises SettingsError if one file is not enough."""
        if not is_file_target(self.target):
            return
        if self.split is not None:
            raise SettingsError(f"--split writes several files: give -o a folder, not {self.target.name}")
        if layout.describe_files is not None or layout.choose_file is not None:
            raise SettingsError(f"the format {layout.name} has several files: give -o a folder, not {self.target.name}")


class LeftOut(NamedTuple):
    id: str
    code: str
    message: str


@dataclass(slots=True)
class ExportReport:
    target: Path
    runs: list[RecordedRun]
    # Rows of each file, by name.
    files: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    # The first ones.
    examples: list[LeftOut] = field(default_factory=list)
    picture_files: int = 0
    near_duplicates: int = 0
    # Of people: those that were applied by kind, and those that were not.
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


def export_runs(
    outputs: Sequence[Path],
    settings: ExportSettings,
    decide: Decide | None = None,
    on_step: Callable[[Stage, int], None] = lambda stage, number: None,
) -> ExportReport:
    """``decide``: instead of the decisions of people about the answers, in the files beside the outputs.

    ``on_step`` gets the stage and the number of each row, or of each picture that is compared.

    Raises SettingsError if a run can't be read, nothing is left to write, or something would be replaced.

    Raises StorageError if the target can't be written. Nothing is at the target then, or what was there before.
    """
    layout = LAYOUTS[settings.layout]
    choice = settings.choose_pictures(layout)
    settings.check_file(layout)
    check_target(settings.target, outputs, force=settings.force)
    runs = open_recorded_runs(list(outputs))
    report = ExportReport(settings.target, runs, failed=sum(run.count_failures() for run in runs))
    decisions = RecordDecisions([run.output for run in runs] if decide is None else [])
    grouping = None
    if settings.split is not None:
        rows = number_rows(iter_rows(runs), "group", on_step)
        grouping, report.near_duplicates = group_rows(settings.split, rows, partial(on_step, "compare"))
    licence = (read_description(settings.target) or {}).get("licence", "")
    with open_target(settings.target) as folder:
        pictures = PictureWriter(
            PictureSettings(choice, settings.target, layout.limits, settings.sent, settings.absolute), folder
        )
        rows = number_rows(iter_rows(runs), "write", on_step)
        maker = RowMaker(layout, pictures, decide or decisions.apply, report)
        write_data_rows(folder, rows, settings, maker, grouping)
        report.decisions = decisions.count()
        if not report.row_count:
            raise SettingsError(describe_nothing(report))
        report.picture_files = pictures.file_count
        description = describe_export(settings, choice, report, licence)
        further = write_further_files(folder, maker)
        write_description(folder, description | list_written_files(folder, [*report.files, *further], pictures))
    return report


def iter_rows(runs: Sequence[RecordedRun]) -> RunRows:
    for run in runs:
        for record in run.iter_records():
            yield record, run


def number_rows(rows: RunRows, stage: Stage, on_step: Callable[[Stage, int], None]) -> RunRows:
    for number, row in enumerate(rows, 1):
        on_step(stage, number)
        yield row


def write_data_rows(
    folder: Path, rows: RunRows, settings: ExportSettings, maker: RowMaker, grouping: RowGrouping | None
) -> None:
    report, layout = maker.report, maker.layout
    if layout.choose_file is not None:
        with PairFiles(folder, has_parts=settings.split is not None) as pair_files:
            for part, name, row in maker.make_rows(rows, grouping):
                pair_files.append(part, name, row)
        report.files = pair_files.describe()
        return
    is_array = layout.suffix == ".json"
    is_file = is_file_target(settings.target)
    if is_file:
        # The name says that the file has lines.
        is_array = is_array and settings.target.suffix.lower() != ".jsonl"
        names = {ONLY_PART: SINGLE_FILE}
    else:
        parts = [part.name for part in settings.split.parts] if settings.split is not None else [ONLY_PART]
        names = {part: f"{part}{layout.suffix}" for part in parts}
    with DataFiles(folder, names, is_array=is_array) as files:
        for part, _, row in maker.make_rows(rows, grouping):
            files.append(part, row)
        report.files = {settings.target.name: files.counts[ONLY_PART]} if is_file else files.describe()


@dataclass(frozen=True, slots=True)
class RowMaker:
    layout: Layout
    pictures: PictureWriter
    decide: Decide
    report: ExportReport
    # By tag, as the first row shows them.
    characters: dict[str, Character] = field(default_factory=dict)

    def make_rows(self, rows: RunRows, grouping: RowGrouping | None) -> Iterator[tuple[str, str, bytes]]:
        """The part of each row, the name of its file if the layout says it, and the row."""
        for record, run in rows:
            made = self._make_row(record, run)
            if made is not None:
                yield grouping.choose_part(record, run) if grouping is not None else ONLY_PART, *made

    def _make_row(self, record: DataRecord, run: RecordedRun) -> tuple[str, bytes] | None:
        """None for a row that is left out, with its pictures."""
        decided = self.decide(record, run.output)
        if decided is None:
            self.report.leave_out(record, DECIDED, "a decision rejects it")
            return None
        if not self.layout.keeps_lines:
            question = remove_own_marks(decided.question, len(decided.images))
            decided = replace(decided, question=question)
        if (mark := find_mark(decided, self.layout.marks)) is not None:
            message = f"its text has {mark}, which the format takes for something else than text"
            self.report.leave_out(record, MARK, message)
            return None
        try:
            name = self.layout.choose_file(decided) if self.layout.choose_file is not None else ""
            has_reference = self.layout.keeps_lines or self.layout.takes_reference
            chosen = decided.pictures if has_reference else decided.images
            placed = self.pictures.place(
                chosen, run.roots, find_sent_form(record, run), shows_character=len(chosen) > len(decided.images)
            )
        except RowError as error:
            self.report.leave_out(record, error.code, error.message.removesuffix("."))
            return None
        if self.pictures.settings.sent:
            decided = remove_box(decided, run)
        written = decided.with_pictures(placed)
        self._note_character(written)
        return name, self.layout.write(written)

    def _note_character(self, record: DataRecord) -> None:
        if self.layout.takes_reference and record.reference is not None:
            tag = f"<{record.tag_name}>"
            character = Character(tag, record.reference, record.description, record.category)
            self.characters.setdefault(tag, character)


def find_mark(record: DataRecord, marks: Sequence[str]) -> str | None:
    return next((mark for mark in marks if mark in record.question or mark in record.answer), None)


def describe_nothing(report: ExportReport) -> str:
    names = ", ".join(str(run.output) for run in report.runs)
    if report.examples:
        first = report.examples[0]
        return f"no row of {names} can be exported; {first.id}: {first.message}"
    return f"{names} has no accepted answer: nothing is written"


def write_further_files(folder: Path, maker: RowMaker) -> list[str]:
    describe = maker.layout.describe_files
    further = describe(list(maker.report.files), list(maker.characters.values())) if describe is not None else {}
    for name, value in further.items():
        write_json_file(folder / name, value)
    return list(further)


def list_written_files(folder: Path, names: Sequence[str], pictures: PictureWriter) -> Json:
    """By which the next export to this place knows what it may replace."""
    # The only file gets its name later.
    paths = {name: folder / name if (folder / name).exists() else folder / SINGLE_FILE for name in names}
    digests = {name: hash_written_file(path) for name, path in paths.items()}
    return {"digests": digests, "entries": [*names, *sorted(f"{FOLDER}/{each}" for each in pictures.names)]}


def describe_export(settings: ExportSettings, choice: PictureChoice, report: ExportReport, licence: str) -> Json:
    """No time and no path of this machine, so that equal exports have equal bytes."""
    split = settings.split
    return {
        "tool": TOOL,
        "export": FORMAT,
        "version": __version__,
        "format": settings.layout,
        # For the user to fill in; the next export to this place keeps it.
        "licence": licence,
        "files": report.files,
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
