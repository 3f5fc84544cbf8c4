"""What a line of the input says: its pictures and the fields that steer its question. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from persqa_client.errors import RowError
from persqa_client.jsonl import cut_last_member, dump_spaced, load_value
from persqa_client.questions.categories import parse_category, parse_language
from persqa_client.questions.tags import parse_tag
from persqa_client.types import BadRow, Row

ERROR_KEYS = frozenset({"code", "message", "attempts", "raw"})
"""What our own ``error`` member has at least; a user's field of the same name lacks these and stays."""


def parse_line(number: int, line: bytes, *, image_key: str, output_key: str) -> Row | BadRow:
    """Reads one line (without its end). A line of a failure file is read as the input line that it was."""
    try:
        line, fields, only = as_object(line, image_key)
        if output_key in fields:
            raise RowError(
                "output_key_taken", f"the row already has a field {output_key!r}; choose another --output-key"
            )
        return Row(
            number=number,
            line=line,
            images=image_references(fields, image_key),
            question=text_field(fields, "question"),
            tag=tag_field(fields),
            id=id_field(fields),
            category=word_field(fields, "category", parse_category),
            language=word_field(fields, "language", parse_language),
            only_question=only,
        )
    except RowError as error:
        return BadRow(number, line, error.code, f"Line {number}: {error.message}.")


def as_object(line: bytes, image_key: str) -> tuple[bytes, dict[str, Any], int | None]:
    """The line as an object: a bare string is a picture; our ``error`` and ``line`` wrappings are taken off.

    With it the number of the one question that failed, where an ``error`` names one.
    """
    fields, only = decode(line), None
    if isinstance(fields, str):
        return dump_spaced({image_key: fields}), {image_key: fields}, None
    if not isinstance(fields, dict):
        raise RowError("bad_line", f"a row is a JSON object or a string, not {type(fields).__name__}")
    error = fields.get("error")
    if isinstance(error, dict) and error.keys() >= ERROR_KEYS:
        if fields.keys() == {"line", "error"} and isinstance(fields["line"], str):
            return as_object(fields["line"].encode("utf-8", "surrogatepass"), image_key)
        line, only = cut_last_member(line, "error"), number_or_none(error.get("question"))
        fields = {key: value for key, value in fields.items() if key != "error"}
    return line, fields, only


def number_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def decode(line: bytes) -> Any:
    try:
        return load_value(line)
    except ValueError as error:
        raise RowError("bad_line", f"not JSON ({str(error).removeprefix('not JSON: ')})") from error


def image_references(fields: dict[str, Any], image_key: str) -> tuple[str, ...]:
    if image_key not in fields:
        raise RowError("no_image", f"the row has no field {image_key!r} (see --image-key)")
    value = fields[image_key]
    references = [value] if isinstance(value, str) else value
    if not isinstance(references, list) or not all(isinstance(item, str) for item in references):
        raise RowError("bad_image_field", f"the field {image_key!r} must be a path or a list of paths")
    if not references or not all(item.strip() for item in references):
        raise RowError("no_image", f"the field {image_key!r} names no picture")
    return tuple(references)


def text_field(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise RowError("bad_field", f"the field {name!r} must be text")
    return value.strip() or None if value else None


def tag_field(fields: dict[str, Any]) -> str | None:
    name = text_field(fields, "tag")
    try:
        return None if name is None else parse_tag(name)
    except ValueError as error:
        raise RowError("bad_tag", str(error)) from error


def word_field(fields: dict[str, Any], name: str, read: Callable[[str], str]) -> str | None:
    word = text_field(fields, name)
    try:
        return None if word is None else read(word)
    except ValueError as error:
        raise RowError(f"bad_{name}", f"the field {name!r}: {error}") from error


def id_field(fields: dict[str, Any]) -> str | int | None:
    value = fields.get("id")
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise RowError("bad_field", "the field 'id' must be text or a whole number")
