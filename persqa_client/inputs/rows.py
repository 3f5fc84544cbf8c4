"""Parses input lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from persqa_client.errors import RowError
from persqa_client.jsonl import cut_last_member, dump_spaced, load_value
from persqa_client.questions.categories import parse_category, parse_language
from persqa_client.questions.tags import parse_tag
from persqa_client.types import BadRow, Row

# Keys of ``error`` in a failure file. A user's ``error`` field without them is kept.
ERROR_KEYS = frozenset({"code", "message", "attempts", "raw"})


def parse_line(number: int, line: bytes, *, image_key: str, output_key: str) -> Row | BadRow:
    """Parses a line without its line end; returns a BadRow if it is invalid.

    A line of a failure file becomes the row that failed.
    """
    try:
        line, fields, failed_question = parse_row_object(line, image_key)
        if output_key in fields:
            raise RowError(
                "output_key_taken", f"the row already has a field {output_key!r}; choose another --output-key"
            )
        return Row(
            number=number,
            line=line,
            images=parse_images(fields, image_key),
            question=parse_text(fields, "question"),
            tag=parse_tag_field(fields),
            id=parse_id(fields),
            category=parse_choice(fields, "category", parse_category),
            language=parse_choice(fields, "language", parse_language),
            only_question=failed_question,
        )
    except RowError as error:
        return BadRow(number, line, error.code, f"Line {number}: {error.message}.")


def parse_row_object(line: bytes, image_key: str) -> tuple[bytes, dict[str, Any], int | None]:
    """Returns the user's line, its fields, and the number of the failed question, if any.

    The ``error`` of a failure file is removed, and a row in ``line`` is unwrapped.
    """
    fields = parse_json(line)
    if isinstance(fields, str):
        return dump_spaced({image_key: fields}), {image_key: fields}, None
    if not isinstance(fields, dict):
        raise RowError("bad_line", f"a row must be a JSON object or a string, not {type(fields).__name__}")
    error = fields.get("error")
    if not isinstance(error, dict) or not error.keys() >= ERROR_KEYS:
        return line, fields, None
    if fields.keys() == {"line", "error"} and isinstance(fields["line"], str):
        return parse_row_object(fields["line"].encode("utf-8", "surrogatepass"), image_key)
    question = error.get("question")
    failed_question = question if isinstance(question, int) and question >= 0 else None
    fields = {key: value for key, value in fields.items() if key != "error"}
    return cut_last_member(line, "error"), fields, failed_question


def parse_json(line: bytes) -> Any:
    try:
        return load_value(line)
    except ValueError as error:
        raise RowError("bad_line", f"not JSON ({str(error).removeprefix('not JSON: ')})") from error


def parse_images(fields: dict[str, Any], image_key: str) -> tuple[str, ...]:
    if image_key not in fields:
        raise RowError("no_image", f"the row has no field {image_key!r} (see --image-key)")
    value = fields[image_key]
    references = [value] if isinstance(value, str) else value
    if not isinstance(references, list) or not all(isinstance(item, str) for item in references):
        raise RowError("bad_image_field", f"the field {image_key!r} must be a path or a list of paths")
    if not references or not all(item.strip() for item in references):
        raise RowError("no_image", f"the field {image_key!r} names no image")
    return tuple(references)


def parse_text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise RowError("bad_field", f"the field {name!r} must be text")
    return value.strip() or None if value else None


def parse_tag_field(fields: dict[str, Any]) -> str | None:
    name = parse_text(fields, "tag")
    try:
        return None if name is None else parse_tag(name)
    except ValueError as error:
        raise RowError("bad_tag", str(error)) from error


def parse_choice(fields: dict[str, Any], name: str, parse: Callable[[str], str]) -> str | None:
    value = parse_text(fields, name)
    try:
        return None if value is None else parse(value)
    except ValueError as error:
        raise RowError(f"bad_{name}", f"the field {name!r}: {error}") from error


def parse_id(fields: dict[str, Any]) -> str | int | None:
    value = fields.get("id")
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise RowError("bad_field", "the field 'id' must be text or an integer")
