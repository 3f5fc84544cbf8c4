"""Finds out before a run starts whether the rows name their pictures under the image key, and where else they might."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from persqa_client.errors import RowError, SettingsError
from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.images.references import ANY_URL, DATA_URI, describe_reference, parse_local_path
from persqa_client.inputs.rows import find_wrapped_line, parse_images, parse_json, parse_line
from persqa_client.inputs.source import Source
from persqa_client.types import START_POSITION, BadRow

# Rows that are looked at; those after the first are only read while none has the key.
FIRST_ROWS = 1000
# Rows that must fail for another reason than a missing key.
MIN_PROBLEMS = 20
NO_KEY = "\0"
# Keys in a message.
SHOWN_KEYS = 8


def check_first_rows(source: Source, image_key: str) -> None:
    """Raises SettingsError if rows are read, and none of the first can be asked about, as their fields show.

    Lines that are no rows, and missing images, are left to the run, which stops if there are many.
    """
    lacking: list[dict[str, Any]] = []
    problems: list[str] = []
    for number, line, fields in iter_objects(source, image_key):
        if not names_pictures(fields, image_key):
            lacking.append(fields)
            continue
        problem = find_problem(number, line, image_key)
        if problem is None:
            return
        problems.append(problem)
    if lacking and not problems:
        raise SettingsError(describe_missing_pictures(source.name, lacking, image_key))
    if len(problems) >= MIN_PROBLEMS:
        those = f"none of its first {len(problems) + len(lacking)} rows can be asked about"
        raise SettingsError(f"The input {source.name}: {those}. {problems[0]}")


def iter_objects(source: Source, image_key: str) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    lines = ((position.number, line) for line, position in source.lines(START_POSITION) if line.strip())
    for number, line in islice(lines, FIRST_ROWS):
        try:
            value = parse_json(line)[1]
            while isinstance(value, dict) and "error" in value and (wrapped := find_wrapped_line(value)) is not None:
                value = parse_json(wrapped)[1]
        except RowError:
            continue
        if isinstance(value, str):
            value = {image_key: value}
        if isinstance(value, dict):
            yield number, line, value


def find_problem(number: int, line: bytes, image_key: str) -> str | None:
    """Why the row fails because of its fields."""
    row = parse_line(number, line, image_key=image_key, output_key=NO_KEY)
    if isinstance(row, BadRow):
        return None if row.code in ("bad_line", "no_image") else row.message
    for reference in row.images:
        try:
            if not DATA_URI.match(reference):
                parse_local_path(reference)
        except RowError as error:
            return f"Line {number}: {describe_reference(reference)} {error.message}"
    return None


def names_pictures(fields: dict[str, Any], image_key: str) -> bool:
    """Whether the key is there with a value that is no object; blank values are left to their rows."""
    try:
        parse_images(fields, image_key)
    except RowError as error:
        return image_key in fields and error.code != "bad_image_field"
    return True


def describe_missing_pictures(name: str, rows: Sequence[dict[str, Any]], image_key: str) -> str:
    keys = list(dict.fromkeys(key for fields in rows for key in fields))
    wrapped = find_wrapped_rows(rows)
    if wrapped is not None:
        return f"The input {name} is one JSON object with its rows under {wrapped!r}; save that list alone as a file."
    if image_key in keys:
        lack = f"the field {image_key!r} of its first rows has neither a path nor a list of paths"
    else:
        shown = ", ".join(map(repr, keys[:SHOWN_KEYS])) + (", …" if len(keys) > SHOWN_KEYS else "")
        those = "its row does not have" if len(rows) == 1 else f"none of its first {len(rows)} rows has"
        lack = f"{those} a field {image_key!r}, only {shown}" if shown else f"{those} any field"
    return f"The input {name}: {lack}; {advise(rows, keys, image_key)}."


def advise(rows: Sequence[dict[str, Any]], keys: Sequence[str], image_key: str) -> str:
    named = [key for key in keys if is_reference_key(rows, key)]
    if named:
        return f"the pictures seem to stand under {named[0]!r}: add --image-key {named[0]}"
    nested = [key for key in keys if any(has_nested_reference(fields.get(key)) for fields in rows)]
    if nested:
        return f"the pictures stand inside {nested[0]!r}: copy the paths of each row into a field {image_key!r} of it"
    if any(map(looks_like_reference, keys)):
        return f"its keys are paths of pictures: write a row with a field {image_key!r} for each of them"
    return "name the field with the paths of the pictures with --image-key, or add it to the rows"


def is_reference_key(rows: Sequence[dict[str, Any]], key: str) -> bool:
    """Whether most of the values are references: some texts are URLs of images, too."""
    values = [value for fields in rows if (value := fields.get(key)) not in (None, "", [])]
    return bool(values) and 2 * sum(map(is_reference_field, values)) >= len(values)


def find_wrapped_rows(rows: Sequence[dict[str, Any]]) -> str | None:
    """The key of the list of rows, if the only row is an object around them."""
    if len(rows) != 1 or any(is_reference_field(value) for value in rows[0].values()):
        return None
    lists = {
        key: value for key, value in rows[0].items() if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    with_pictures = [key for key, value in lists.items() if any(map(is_reference_field, value[0].values()))]
    return with_pictures[0] if with_pictures else None


def is_reference_field(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(item, str) and looks_like_reference(item) for item in values)


def looks_like_reference(text: str) -> bool:
    """By its form: whether there is such a file depends on the working directory."""
    text = text.strip()
    if DATA_URI.match(text):
        return True
    if "\n" in text or "<" in text:
        return False
    return os.path.splitext(text.split("?")[0] if ANY_URL.match(text) else text)[1].lower() in IMAGE_SUFFIXES


def has_nested_reference(value: object) -> bool:
    """Without recursion: rows may be nested deeply."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str) and looks_like_reference(each):
            return True
        if isinstance(each, list | dict):
            if isinstance(each, dict) and isinstance(each.get("bytes"), str):
                return True
            pending += each.values() if isinstance(each, dict) else each
    return False
