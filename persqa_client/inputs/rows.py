"""Parses input lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from persqa_client.errors import RowError
from persqa_client.inputs.sources import BrokenLine
from persqa_client.inputs.subjects import TAG_FIELD, SubjectFields
from persqa_client.json_members import cut_last_member, find_repeated_key
from persqa_client.jsonl import MAX_DEPTH, dump_spaced, encode_exactly, is_too_deep, load_value, strip_marks
from persqa_client.keys import mask_keys
from persqa_client.questions.categories import parse_category, parse_language
from persqa_client.questions.tags import parse_tag
from persqa_client.types import BadRow, Row

# Keys of ``error`` in a failure file. A user's ``error`` field without them is kept.
ERROR_KEYS = frozenset({"code", "message", "attempts", "raw"})
# What the field with the images holds, as messages say it.
IMAGES_WANTED = "a path or a list of paths"
WRAPPED_KEYS = frozenset({"line", "error"})
# Fields that are read, besides the images and those that say who the main character is.
ROW_FIELDS = ("question", "id", "category", "language")
MAX_QUESTIONS = 1000
# Longer lines are read in part only, and fail. No server takes a request of this size.
MAX_LINE_BYTES = 256 << 20
# What the failure file keeps of them.
KEPT_BYTES = 64 << 10


def parse_line(
    number: int,
    line: bytes,
    *,
    image_key: str,
    output_key: str,
    details: bool = False,
    subject: SubjectFields = TAG_FIELD,
    counted_as: str = "line",
) -> Row | BadRow:
    """Parses a line without its line end; returns a BadRow if it is invalid.

    A line of a failure file becomes the row that failed. A Row can be read and written by every later step.
    ``counted_as``: see ``Row``.
    """
    if isinstance(line, BrokenLine):
        message = f"{counted_as.capitalize()} {number}: {line.reason}."
        return BadRow(number, bytes(line), "bad_line", message, given=line.key)
    own_line = line
    try:
        if len(line) > MAX_LINE_BYTES:
            own_line = line[:KEPT_BYTES]
            raise RowError("bad_line", f"longer than {MAX_LINE_BYTES >> 20} MiB; only its beginning is kept here")
        line, fields = parse_json(line)
        while isinstance(fields, dict) and "error" in fields and (wrapped := find_wrapped_line(fields)) is not None:
            own_line = wrapped
            line, fields = parse_json(wrapped)
        if isinstance(fields, str):
            fields = {image_key: fields}
            line = dump_spaced(fields)
        elif not isinstance(fields, dict):
            raise RowError("bad_line", f"a row must be a JSON object or a string, not {type(fields).__name__}")
        check_is_unambiguous(line, fields, (image_key, *ROW_FIELDS, *subject.names))
        only_question = None
        if "error" in fields and is_failure_error(fields["error"]):
            only_question = parse_question_number(fields.pop("error"))
            line = cut_last_member(line, "error")
        if output_key in fields or (details and f"{output_key}_meta" in fields):
            key = output_key if output_key in fields else f"{output_key}_meta"
            raise RowError("output_key_taken", f"the row already has a field {key!r}; choose another --output-key")
        images = parse_images(fields, image_key)
        return Row(
            number=number,
            line=line,
            images=images,
            question=parse_text(fields, "question") if "question" in fields else None,
            tag=parse_tag_field(fields, subject.tag) if subject.tag is not None and subject.tag in fields else None,
            id=parse_id(fields, line) if "id" in fields else None,
            category=parse_choice(fields, "category", parse_category) if "category" in fields else None,
            language=parse_choice(fields, "language", parse_language) if "language" in fields else None,
            only_question=only_question,
            reference=parse_reference(fields, subject.reference) if subject.reference in fields else None,
            marks=subject.parse_marks(fields, len(images)),
            counted_as=counted_as,
        )
    except RowError as error:
        # What is no row is kept byte for byte.
        line = own_line if error.code == "bad_line" else line
        return BadRow(number, line, error.code, f"{counted_as.capitalize()} {number}: {error.message}.")


def parse_json(line: bytes) -> tuple[bytes, Any]:
    """The line without byte order marks at its start, and its value."""
    try:
        return line, load_value(line)
    except ValueError as error:
        rest = strip_marks(line)
        if rest is not line:
            with suppress(ValueError):
                return rest, load_value(rest)
        raise RowError("bad_line", f"not JSON ({str(error).removeprefix('not JSON: ')})") from error


def find_wrapped_line(fields: dict[str, Any]) -> bytes | None:
    """The line that a failure file holds in ``line``, because it is no row."""
    if fields.keys() != WRAPPED_KEYS or not isinstance(fields["line"], str):
        return None
    error = fields["error"]
    return encode_exactly(fields["line"]) if is_failure_error(error) and error["code"] == "bad_line" else None


def is_failure_error(error: object) -> bool:
    return isinstance(error, dict) and error.keys() >= ERROR_KEYS


def check_is_unambiguous(line: bytes, fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raises RowError for a row that other programs, or other parts of this one, read differently or not at all."""
    if is_too_deep(line):
        raise RowError("bad_line", f"nested more than {MAX_DEPTH} deep, which other programs can't read")
    if (key := find_repeated_key(line, fields, names)) is not None:
        raise RowError("bad_line", f"the field {key!r} is in the row twice; keep one of them")


def parse_question_number(error: dict[str, Any]) -> int | None:
    question = error.get("question")
    if not isinstance(question, int) or isinstance(question, bool):
        return None
    return question if 0 <= question < MAX_QUESTIONS else None


def parse_images(fields: dict[str, Any], image_key: str) -> tuple[str, ...]:
    if image_key not in fields:
        raise RowError("no_image", f"the row has no field {mask_keys(image_key)!r} (see --image-key)")
    value = fields[image_key]
    references = [value] if isinstance(value, str) else value
    if not isinstance(references, list) or not set(map(type, references)) <= {str}:
        raise RowError("bad_image_field", f"the field {image_key!r} must be {IMAGES_WANTED}")
    if not references or "" in map(str.strip, references):
        raise RowError("no_image", f"the field {image_key!r} names no image")
    return tuple(references)


def parse_text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise RowError("bad_field", f"the field {name!r} must be text")
    return value.strip() or None if value else None


def parse_tag_field(fields: dict[str, Any], key: str) -> str | None:
    name = parse_text(fields, key)
    try:
        return None if name is None else parse_tag(name)
    except ValueError as error:
        raise RowError("bad_tag", str(error)) from error


def parse_reference(fields: dict[str, Any], key: str | None) -> str | None:
    value = fields.get(key) if key is not None else None
    if value is not None and not isinstance(value, str):
        raise RowError("bad_image_field", f"the field {key!r} must be the path of one image")
    return value if value and value.strip() else None


def parse_choice(fields: dict[str, Any], name: str, parse: Callable[[str], str]) -> str | None:
    value = parse_text(fields, name)
    try:
        return None if value is None else parse(value)
    except ValueError as error:
        raise RowError(f"bad_{name}", f"the field {name!r}: {error}") from error


def parse_id(fields: dict[str, Any], line: bytes) -> str | int | None:
    value = fields["id"]
    if isinstance(value, float):
        # The fast parser reads whole numbers above 64 bits as floats.
        value = json.loads(line)["id"]
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise RowError("bad_field", "the field 'id' must be text or an integer")
