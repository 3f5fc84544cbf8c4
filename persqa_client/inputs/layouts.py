"""Finds out before a run starts whether the rows name their pictures under the image key, and where else they might."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from persqa_client.errors import RowError, SettingsError
from persqa_client.images.fetched_files import is_fetchable, is_web_url
from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.images.members import parse_member
from persqa_client.images.references import ANY_URL, DATA_URI, describe_reference, parse_local_path
from persqa_client.inputs.conversations import OTHER_MEDIA
from persqa_client.inputs.files import name_counted
from persqa_client.inputs.rows import find_wrapped_line, parse_images, parse_json, parse_line
from persqa_client.inputs.sources import BrokenLine, Source
from persqa_client.inputs.subjects import NO_FIELDS
from persqa_client.inputs.tar_samples import KEY_FIELD
from persqa_client.types import START_POSITION, BadRow

# Rows that are looked at; those after the first are only read while none has the key.
FIRST_ROWS = 1000
# Bytes after which no more rows are read than MIN_PROBLEMS.
FIRST_BYTES = 16 << 20
# Rows that must fail for another reason than a missing key.
MIN_PROBLEMS = 20
NO_KEY = "\0"
# Fields whose values are names.
FIELD_CODES = frozenset({"bad_category", "bad_language"})
# Fields for which another one may be meant; the names of the others are too short.
MEANT_FIELDS = ("question", "category", "language")
# Keys in a message, and characters of each.
SHOWN_KEYS, SHOWN_LENGTH = 8, 40
# As many of one row, all of them with paths, are no fields.
MANY_KEYS = 3


def check_first_rows(source: Source, image_key: str, *, fetches: bool = False) -> tuple[str, ...]:
    """Warnings about the fields of the first usable row.

    Raises SettingsError if rows are read, and the fields of the first rows show that none is usable.

    ``fetches``: whether pictures are downloaded. Lines that are no rows, and missing images, are left to the run, which
    stops if there are many.
    """
    lacking, counted_as = FieldSurvey(), name_counted(source)
    problem_count, first_problem = 0, ""
    for number, line, fields in iter_objects(source, image_key):
        if not names_pictures(fields, image_key):
            lacking.add(fields)
            continue
        problem = find_problem(number, line, image_key, fetches=fetches, counted_as=counted_as)
        if problem is None:
            return tuple(describe_misnamed(source.name, fields))
        problem_count += 1
        first_problem = first_problem or problem
    if lacking.count and not problem_count:
        raise SettingsError(describe_missing_pictures(source.name, lacking, image_key))
    if problem_count >= MIN_PROBLEMS:
        those = f"none of its first {problem_count + lacking.count} rows can be asked about"
        raise SettingsError(f"The input {source.name}: {those}. {first_problem}")
    return ()


def describe_misnamed(name: str, fields: Mapping[str, object]) -> Iterator[str]:
    """A field in the plural, in capitals or with a slip is one of the user's own, and its row lacks the other one."""
    # Imported here to keep --help fast (cli/run.py).
    from rapidfuzz.distance import OSA

    for wanted in MEANT_FIELDS:
        others = (key for key in fields if OSA.distance(key.strip().casefold(), wanted, score_cutoff=1) <= 1)
        meant = None if wanted in fields else next(others, None)
        if meant is not None:
            each = " A row has one question: write a row for each." if isinstance(fields[meant], list) else ""
            copied = f"the field {show_key(meant)} is copied and not read; did you mean {wanted!r}?"
            yield f"In {name} {copied}{each if wanted == 'question' else ''}"


class FieldSurvey:
    """Facts for a message about rows without pictures under the image key. The rows themselves are not kept."""

    def __init__(self) -> None:
        self.count = 0
        # In the order in which they were seen, each with what stands under it in the rows.
        self.keys: dict[str, FieldValues] = {}
        # The key of the list of rows, if the first row is an object around them.
        self.wrapped: str | None = None

    def add(self, fields: dict[str, Any]) -> None:
        self.count += 1
        if self.count == 1:
            self.wrapped = find_wrapped_rows(fields)
        for key, value in fields.items():
            self.keys.setdefault(key, FieldValues()).add(value)

    def find_key(self, suits: Callable[[FieldValues], bool]) -> str | None:
        return next((key for key, values in self.keys.items() if suits(values)), None)


class FieldValues:
    """The values under one key of several rows."""

    def __init__(self) -> None:
        self._filled = self._references = 0
        self._is_nested = False

    def add(self, value: object) -> None:
        is_reference = is_reference_field(value)
        self._filled += value not in (None, "", [])
        self._references += is_reference
        self._is_nested = self._is_nested or (not is_reference and has_nested_reference(value))

    def are_references(self) -> bool:
        """Most of them; some texts are URLs of images, too."""
        return 0 < self._filled <= 2 * self._references

    def have_references_inside(self) -> bool:
        return self._is_nested


def iter_objects(source: Source, image_key: str) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    for number, line in iter_first_lines(source):
        if isinstance(line, BrokenLine):
            continue
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


def iter_first_lines(source: Source) -> Iterator[tuple[int, bytes]]:
    count = size = 0
    for line, position in source.lines(START_POSITION):
        if not line.strip():
            continue
        yield position.number, line
        count, size = count + 1, size + len(line)
        if count >= FIRST_ROWS or (count >= MIN_PROBLEMS and size >= FIRST_BYTES):
            return


def find_problem(number: int, line: bytes, image_key: str, *, fetches: bool, counted_as: str) -> str | None:
    """Why the row fails because of its fields, those aside that say who the main character is."""
    row = parse_line(number, line, image_key=image_key, output_key=NO_KEY, subject=NO_FIELDS, counted_as=counted_as)
    if isinstance(row, BadRow):
        if row.code in FIELD_CODES:
            return f"{row.message.removesuffix('.')}, or rename the field if it means something else."
        return None if row.code in ("bad_line", "no_image") else row.message
    for reference in row.images:
        try:
            # Which object stores may be read is known when the pictures of the row are loaded.
            is_read = DATA_URI.match(reference) or (is_fetchable(reference) and (fetches or not is_web_url(reference)))
            if not is_read:
                parse_local_path(reference)
        except RowError as error:
            return f"{counted_as.capitalize()} {number}: {describe_reference(reference)} {error.message}"
    return None


def names_pictures(fields: dict[str, Any], image_key: str) -> bool:
    """Whether the key is there with a value that is no object; blank values are left to their rows."""
    try:
        parse_images(fields, image_key)
    except RowError as error:
        return image_key in fields and error.code != "bad_image_field"
    return True


def describe_missing_pictures(name: str, rows: FieldSurvey, image_key: str) -> str:
    if rows.count == 1 and rows.wrapped is not None:
        those = f"its rows under {rows.wrapped!r}"
        return f"The input {name} is one JSON object with {those}; save that list alone as a file."
    keys = list(rows.keys)
    if keys == [KEY_FIELD]:
        files = "the pictures of an archive are files with the suffix of an image, such as 000017.jpg"
        return f"The input {name}: none of its first {rows.count} samples has a picture; {files}."
    if image_key in rows.keys:
        lack = f"the field {image_key!r} of its first rows has neither a path nor a list of paths"
    else:
        shown = ", ".join(map(show_key, keys[:SHOWN_KEYS])) + (", …" if len(keys) > SHOWN_KEYS else "")
        those = "its row does not have" if rows.count == 1 else f"none of its first {rows.count} rows has"
        lack = f"{those} a field {image_key!r}, only {shown}" if shown else f"{those} any field"
    return f"The input {name}: {lack}; {advise(rows, image_key)}."


def show_key(key: str) -> str:
    return repr(key if len(key) <= SHOWN_LENGTH else f"{key[:SHOWN_LENGTH]}…")


def advise(rows: FieldSurvey, image_key: str) -> str:
    if rows.count == 1 and len(rows.keys) >= MANY_KEYS and all(map(FieldValues.are_references, rows.keys.values())):
        return f"its values are paths of pictures: write a row with a field {image_key!r} for each of them"
    if (named := rows.find_key(FieldValues.are_references)) is not None:
        return f"the pictures seem to stand under {named!r}: add --image-key {named}"
    if (nested := rows.find_key(FieldValues.have_references_inside)) is not None:
        return f"the pictures stand inside {nested!r}: copy the paths of each row into a field {image_key!r} of it"
    if (media := next((key for key in OTHER_MEDIA if key in rows.keys), None)) is not None:
        return f"the rows have {OTHER_MEDIA[media]} under {media!r}, and only pictures are read"
    if any(map(looks_like_reference, rows.keys)):
        return f"its keys are paths of pictures: write a row with a field {image_key!r} for each of them"
    return "name the field with the paths of the pictures with --image-key, or add it to the rows"


def find_wrapped_rows(fields: dict[str, Any]) -> str | None:
    """The key of the list of rows, if the fields are an object around them."""
    if any(map(is_reference_field, fields.values())):
        return None
    lists = {
        key: value for key, value in fields.items() if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    with_pictures = [key for key, value in lists.items() if any(map(is_reference_field, value[0].values()))]
    return with_pictures[0] if with_pictures else None


def is_reference_field(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(item, str) and looks_like_reference(item) for item in values)


def looks_like_reference(text: str) -> bool:
    """By its form: whether there is such a file depends on the working directory."""
    text = text.strip()
    if DATA_URI.match(text) or parse_member(text) is not None:
        return True
    if "\n" in text or "<" in text:
        return False
    return os.path.splitext(text.split("?")[0] if ANY_URL.match(text) else text)[1].lower() in IMAGE_SUFFIXES


def has_nested_reference(value: object) -> bool:
    """Searches without recursion, because rows may be nested deeply."""
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
