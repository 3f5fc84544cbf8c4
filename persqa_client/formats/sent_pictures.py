"""How the pictures of a row were sent: in which size, and with which boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from persqa_client.config import DEFAULT_MAX_PIXELS
from persqa_client.inputs.subjects import SubjectFields
from persqa_client.jsonl import load_object, replace_value
from persqa_client.records.data_record import DataRecord
from persqa_client.records.run_records import RecordedRun
from persqa_client.types import BoxMark


class SentForm(NamedTuple):
    """``marks``: of each image of the row, from the first on; the others have none."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    marks: tuple[BoxMark | None, ...] = ()

    def get_mark(self, number: int) -> BoxMark | None:
        return self.marks[number] if number < len(self.marks) else None


def remove_box(record: DataRecord, run: RecordedRun) -> DataRecord:
    """The line without the box, because that of a picture as it was sent is drawn or is the whole picture."""
    if record.source is None or run.identity.get("box") is None:
        return record
    line = replace_value(record.source.line, (run.identity.get("box-key", "box"),), None)
    return replace(record, source=record.source._replace(line=line))


def find_sent_form(record: DataRecord, run: RecordedRun) -> SentForm:
    """Raises RowError (``box_invalid``) if the line no longer has the box that was asked about."""
    max_pixels = run.identity.get("max-pixels")
    form = SentForm(max_pixels) if isinstance(max_pixels, int) else SentForm()
    mode = run.identity.get("box")
    if mode is None or record.source is None:
        return form
    fields = SubjectFields(
        box=run.identity.get("box-key", "box"), box_format=run.identity.get("box-format", "xyxy"), box_mode=mode
    )
    return form._replace(marks=fields.parse_marks(load_object(record.source.line), len(record.images)))
