"""The lines of a run's output as they are, with the paths of the exported pictures and references.

``persqa run`` reads them, and so does what reads ``qa.jsonl``. All members of the row stay.
"""

from __future__ import annotations

from persqa_client.errors import RowError
from persqa_client.formats.layout import FILE_CHOICES, Layout
from persqa_client.formats.row_members import read_id, read_string
from persqa_client.inputs.rows import parse_images
from persqa_client.json_members import replace_value
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.records.data_record import DataRecord, SourceLine
from persqa_client.storage.records import CONVERSATION_KEYS, place_question
from persqa_client.types import Json

IMAGE_KEY, OUTPUT_KEY = "image", "pers_qa"


def write_run_line(record: DataRecord) -> bytes:
    if record.source is None:
        fields = {IMAGE_KEY: list(record.images), "question": record.question, OUTPUT_KEY: join_answer(record)}
        return dump_compact({"id": record.id, **fields} if record.id else fields)
    line = replace_answer(record, record.source) if record.answer != record.source.answer else record.source.line
    fields = load_object(line)
    reference_key = record.source.reference_key
    if record.reference is not None and reference_key is not None and fields.get(reference_key) != record.reference:
        line = replace_value(line, (reference_key,), record.reference)
    key = record.source.image_key
    if key not in fields or parse_images(fields, key) == record.images:
        return line
    # A text stays a text.
    own = record.images[0] if isinstance(fields[key], str) and len(record.images) == 1 else list(record.images)
    return replace_value(line, (key,), own)


def join_answer(record: DataRecord) -> str:
    return f"Question: {record.question}, Answer: {record.answer}"


def replace_answer(record: DataRecord, source: SourceLine) -> bytes:
    """The line with the answer that a decision put into the record."""
    fields = load_object(source.line)
    written = read_string(fields, source.output_key)
    if written == source.answer:
        line = source.line
        if any(isinstance(fields.get(key), list) for key in CONVERSATION_KEYS):
            line = place_question(line, record.question, record.answer)
        return replace_value(line, (source.output_key,), record.answer)
    return replace_value(source.line, (source.output_key,), join_answer(record))


def read_run_line(row: Json) -> DataRecord:
    """A line of the default style, with the default names of its members."""
    try:
        images = parse_images(row, IMAGE_KEY)
    except RowError as error:
        raise ValueError(error.message) from error
    asked, found, answer = read_string(row, OUTPUT_KEY).removeprefix("Question: ").partition(", Answer: ")
    if not found:
        raise ValueError(f"{OUTPUT_KEY!r} has no question and answer")
    return DataRecord(read_id(row), images, asked, answer)


JSONL = Layout(
    name="jsonl",
    consumer="persqa",
    write=write_run_line,
    read=read_run_line,
    pictures=(*FILE_CHOICES, "embed"),
    keeps_lines=True,
)
