"""Makes the rows of an export from the records of runs, with their pictures, and says which are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from persqa_client.errors import RowError
from persqa_client.formats.image_marks import remove_own_marks
from persqa_client.formats.layout import Character, ExportRow, PackedFormat
from persqa_client.formats.pictures import PictureWriter, SentForm
from persqa_client.formats.registry import AnyFormat
from persqa_client.inputs.subjects import SubjectFields
from persqa_client.json_members import replace_value
from persqa_client.jsonl import load_object
from persqa_client.records.data_record import DataRecord
from persqa_client.records.run_records import RecordedRun

# Reasons for which a row is left out, besides the codes of pictures.
MARK, DECIDED = "mark_in_text", "decision"
# Gets a record and the output that it is from. Returns the record, another one in its place, or None to leave it out.
Decide = Callable[[DataRecord, Path], DataRecord | None]


@dataclass(frozen=True, slots=True)
class RowMaker:
    format: AnyFormat
    pictures: PictureWriter
    decide: Decide
    # Gets the record, a code and a message.
    leave_out: Callable[[DataRecord, str, str], None]
    # By tag, as the first row shows them.
    characters: dict[str, Character] = field(default_factory=dict)

    def make_row(self, record: DataRecord, run: RecordedRun) -> ExportRow | None:
        """None for a row that is left out, with its pictures."""
        decided = self.decide(record, run.output)
        if decided is None:
            self.leave_out(record, DECIDED, "a decision rejects it")
            return None
        if not self.format.keeps_lines:
            question = remove_own_marks(decided.question, len(decided.images))
            decided = replace(decided, question=question)
        if (mark := find_mark(decided, self.format.marks)) is not None:
            message = f"its text has {mark}, which the format takes for something else than text"
            self.leave_out(record, MARK, message)
            return None
        try:
            return self._add_pictures(decided, run, find_sent_form(record, run))
        except RowError as error:
            self.leave_out(record, error.code, error.message.removesuffix("."))
            return None

    def _add_pictures(self, record: DataRecord, run: RecordedRun, form: SentForm) -> ExportRow:
        """Raises RowError."""
        if isinstance(self.format, PackedFormat):
            return ExportRow(record, self.pictures.load(record.images, run.roots, form))
        file = self.format.choose_file(record) if self.format.choose_file is not None else ""
        has_reference = self.format.keeps_lines or self.format.takes_reference
        chosen = record.pictures if has_reference else record.images
        placed = self.pictures.place(chosen, run.roots, form, shows_character=len(chosen) > len(record.images))
        if self.pictures.settings.sent:
            record = remove_box(record, run)
        written = record.with_pictures(placed)
        if self.format.takes_reference:
            self._note_character(written)
        return ExportRow(written, file=file)

    def _note_character(self, record: DataRecord) -> None:
        if record.reference is not None:
            tag = f"<{record.tag_name}>"
            self.characters.setdefault(tag, Character(tag, record.reference, record.description, record.category))


def find_mark(record: DataRecord, marks: Sequence[str]) -> str | None:
    return next((mark for mark in marks if mark in record.question or mark in record.answer), None)


def remove_box(record: DataRecord, run: RecordedRun) -> DataRecord:
    """The line without the box, because that of a picture as it was sent is drawn or is the whole picture."""
    if record.source is None or run.identity.get("box") is None:
        return record
    line = replace_value(record.source.line, (run.identity.get("box-key", "box"),), None)
    return replace(record, source=record.source._replace(line=line))


def find_sent_form(record: DataRecord, run: RecordedRun) -> SentForm:
    """Raises RowError (``box_invalid``) if the line no longer has the box of the request."""
    max_pixels = run.identity.get("max-pixels")
    form = SentForm(max_pixels) if isinstance(max_pixels, int) else SentForm()
    mode = run.identity.get("box")
    if mode is None or record.source is None:
        return form
    fields = SubjectFields(
        box=run.identity.get("box-key", "box"), box_format=run.identity.get("box-format", "xyxy"), box_mode=mode
    )
    return form._replace(marks=fields.parse_marks(load_object(record.source.line), len(record.images)))
