"""Detects the kind of an input file by its content."""

from __future__ import annotations

import codecs
import os
import re
import zlib
from collections.abc import Sequence
from json import JSONDecoder
from pathlib import Path
from typing import Literal, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.formats import describe_content, detect_format
from persqa_client.inputs.compressed import GZIP, NAMES, CompressedFile, find_compression
from persqa_client.inputs.path_lists import is_heading, is_list_of_paths, is_quoted_list
from persqa_client.inputs.tables import SEPARATOR_LINE, check_separated, find_table
from persqa_client.jsonl import load_value

Kind = Literal["image", "lines", "values", "table", "paths", "gzip", "zstd", "parquet", "arrow", "tar"]

HEAD_SIZE = 1 << 16
COMPRESSED_SUFFIXES = frozenset({".gz", ".zst"})
LINE_SUFFIXES = frozenset({".jsonl", ".ndjson", ".jsonlines"})
# Lines that are looked at.
FIRST_LINES = 20
SUPPORTED_INPUTS = "give a JSONL file, a JSON array, a CSV or Parquet file, a list of paths, or a folder of images"
# What packs or encodes another file, which may be an input.
COMPRESSED = (
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
)
ARCHIVES = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
)
TAR_MAGIC = slice(257, 262)
# Files of rows with their pictures.
PACKED: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
)
# Names of entries in ZIP archives that are documents.
SPREADSHEET_ENTRIES = (b"xl/", b"opendocument.spreadsheet")
BINARY_TABLES = (
    (b"FEA1", "a Feather file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"\x93NUMPY", "a NumPy file"),
)
EXPORT_ROWS = "write its rows to a JSONL file with the paths of the pictures"
# Two characters of ASCII, without a byte order mark.
ASCII = rb"[\t\n\r -~]"
UTF16_START = re.compile(rb"(?:%b\0){2}|(?:\0%b){2}" % (ASCII, ASCII))
UTF32_START = re.compile(rb"(?:%b\0{3}){2}|(?:\0{3}%b){2}" % (ASCII, ASCII))
JSON = JSONDecoder(parse_int=str, parse_float=str)
JSON_START = re.compile(r"\s*(\{\s*\"|\[\s*[\[{\"]|\")")
YAML_LINE = re.compile(r"---|%YAML|(- )?[\w.-]+:(\s|$)")


class Detected(NamedTuple):
    kind: Kind
    delimiter: str = ","


def detect_input(path: Path, image_key: str) -> Detected:
    """Raises SettingsError for a file of another kind, with its name and what to do."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
            is_whole = not file.read(1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"The input {path} cannot be read ({reason}): check its permissions.") from error
    if (packed := find_packed_kind(head)) is not None:
        return Detected(packed)
    if (compression := find_compression(head)) is not None:
        head = CompressedFile(path, compression).read_start(HEAD_SIZE)
        if detect_content(path, head, image_key, is_whole=len(head) < HEAD_SIZE).kind != "lines":
            name = NAMES[compression]
            raise SettingsError(f"The input {path} is compressed with {name}, and is not JSONL; decompress it first.")
        return Detected(compression)
    return detect_content(path, head, image_key, is_whole=is_whole)


def detect_content(path: Path, head: bytes, image_key: str, *, is_whole: bool) -> Detected:
    """By the beginning of the file, perhaps decompressed."""
    if detect_format(head):
        return Detected("image")
    refuse_signatures(path, head)
    text = head.decode("utf-8", "surrogateescape")
    has_old_ends = b"\r" in head.strip() and b"\n" not in head
    lines = split_lines(text, "\r" if has_old_ends else "\n")
    if not is_whole and len(lines) > 1:
        del lines[-1]  # it may be cut off
    is_ended = not is_whole or text.endswith("\n")
    first_lines = [line for line in lines if line.strip()][:FIRST_LINES]
    name = path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name
    has_line_suffix = os.path.splitext(name)[1].lower() in LINE_SUFFIXES
    binary = f"The input {path} is {describe_binary(head)}, not text; {SUPPORTED_INPUTS}."
    if seems_binary(first_lines) and not has_line_suffix:
        raise SettingsError(binary)
    refuse_arrays(path, first_lines)
    try:
        detected = detect_text(path, lines, image_key, is_ended=is_ended)
        if has_line_suffix and is_broken_line(first_lines, detected):
            detected = Detected("lines")
        if has_old_ends and detected.kind != "values":
            raise SettingsError(describe_old_ends(path))
        return detected
    except SettingsError as error:
        if has_old_ends:
            raise SettingsError(describe_old_ends(path)) from error
        # The first lines may be broken; a run stops if none of the rows can be used.
        if has_line_suffix:
            return Detected("lines")
        if b"\0" in head:
            raise SettingsError(binary) from error
        raise


def split_lines(text: str, line_end: str) -> list[str]:
    """Splits lines as the readers do, without byte order marks. ``splitlines`` also splits at characters that stand in
    texts, such as U+2028.
    """
    lines = [line.lstrip("\ufeff").removesuffix("\r") for line in text.split(line_end)]
    return lines if lines[-1] else lines[:-1]


def describe_old_ends(path: Path) -> str:
    return (
        f"The input {path} ends its lines with lone carriage returns, as old Macs did; save it with the line ends of "
        "Unix or Windows."
    )


def find_packed_kind(head: bytes) -> Kind | None:
    """Also of a tar archive that is compressed with gzip."""
    if head.startswith(GZIP) and unpack_start(head)[TAR_MAGIC] == b"ustar":
        return "tar"
    if head[TAR_MAGIC] == b"ustar":
        return "tar"
    return next((kind for signature, kind in PACKED if head.startswith(signature)), None)


def unpack_start(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, TAR_MAGIC.stop)
    except zlib.error:
        return b""


def refuse_signatures(path: Path, head: bytes) -> None:
    for signature, description in COMPRESSED:
        if head.startswith(signature):
            raise SettingsError(f"The input {path} is {description}; decompress it first.")
    for signature, description in BINARY_TABLES:
        if head.startswith(signature):
            raise SettingsError(f"The input {path} is {description}; {EXPORT_ROWS}.")
    for signature, description in ARCHIVES:
        if head.startswith(signature):
            if any(entry in head for entry in SPREADSHEET_ENTRIES):
                raise SettingsError(f"The input {path} is a spreadsheet; save it as CSV (UTF-8).")
            raise SettingsError(f"The input {path} is {description}; unpack it, and give the folder or file in it.")
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or UTF32_START.match(head):
        raise SettingsError(f"The input {path} is in UTF-32; save it as UTF-8.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or UTF16_START.match(head):
        raise SettingsError(f"The input {path} is in UTF-16; save it as UTF-8.")


def seems_binary(lines: Sequence[str]) -> bool:
    """By the first line. A null character in another line, or among rows of JSON, only breaks its row."""
    return bool(lines) and "\0" in lines[0] and not JSON_START.match(lines[0]) and not any(map(is_json_row, lines))


def describe_binary(head: bytes) -> str:
    description = describe_content(head)
    return "of an unknown format" if description == "text" else description


def detect_text(path: Path, all_lines: Sequence[str], image_key: str, *, is_ended: bool) -> Detected:
    """By the first lines. Paths are looked for in all that were read.

    ``is_ended``: whether the last line has its end; otherwise it may still be written.
    """
    first_lines = take_first(all_lines)
    lines = [line for line in first_lines if line.strip()]
    if len(lines) > 1 and (separator := SEPARATOR_LINE.fullmatch(lines[0])):
        check_separated(path, lines[1:], separator[1], image_key)
        return Detected("table", separator[1])
    if lines and is_quoted_list(lines):
        return Detected("paths")
    if not lines or is_json_row(lines[0].strip()):
        return Detected("lines")
    start = lines[0].lstrip()
    if start.startswith("[") and starts_array(lines):
        return Detected("values")
    if start.startswith("{"):
        return Detected("values" if lacks_brackets(lines) or continues_on_next_line(lines) else "lines")
    if any(line.startswith("{") and is_json_row(line.strip()) for line in lines):
        return Detected("lines")  # the first ones are broken
    if start.startswith("<"):
        raise SettingsError(f"The input {path} is {describe_markup(start)}, not rows; {SUPPORTED_INPUTS}.")
    if is_yaml(lines):
        raise SettingsError(f"The input {path} seems to be YAML, not rows; {SUPPORTED_INPUTS}.")
    delimiter = find_table(path, first_lines, image_key)
    if delimiter is not None:
        return Detected("table", delimiter)
    if is_list_of_paths(path, all_lines if is_ended or len(all_lines) == 1 else all_lines[:-1]):
        return Detected("paths")
    raise SettingsError(f"The input {path} is text, but has neither rows nor paths of images; {SUPPORTED_INPUTS}.")


def take_first(lines: Sequence[str]) -> Sequence[str]:
    """Up to ``FIRST_LINES`` lines that are not blank, with the blank ones between them."""
    places = [number for number, line in enumerate(lines) if line.strip()][:FIRST_LINES]
    return lines[: places[-1] + 1] if places else []


def is_yaml(lines: Sequence[str]) -> bool:
    """A listing, too, may begin with a name and a colon."""
    if not YAML_LINE.match(lines[0]):
        return False
    names = [line.strip() for line in lines if not is_heading(line.strip())]
    return len(names) == len(lines) or any(name.startswith("- ") or YAML_LINE.match(name) for name in names)


def is_json_row(line: str) -> bool:
    if not line.startswith(("{", '"')):
        return False
    try:
        return isinstance(load_value(line.encode("utf-8", "surrogateescape")), dict | str)
    except ValueError:
        return False


def is_broken_line(lines: Sequence[str], detected: Detected) -> bool:
    """Whether the text is of this kind only if its first lines are no broken rows."""
    if detected.kind == "paths":
        return is_quoted_list(lines)
    return detected.kind == "values" and not spans_lines(lines) and not lacks_brackets(lines)


def spans_lines(lines: Sequence[str]) -> bool:
    """Whether one value of JSON surely stands on several lines, or is an array."""
    first = lines[0].strip()
    if first in ("{", "["):
        return len(lines) == 1 or not is_json_row(lines[1].strip())
    if is_array(first):
        return True
    try:
        _, end = JSON.raw_decode("\n".join(lines).lstrip())
    except (ValueError, RecursionError):
        return False
    return end > len(first)


def lacks_brackets(lines: Sequence[str]) -> bool:
    """Whether they are elements of an array, of which only the lines between the brackets were taken. One comma alone
    may be a slip, and a broken element may swallow lines behind it.
    """
    first = lines[0].strip()
    is_separated = len(lines) <= 2 or lines[1].rstrip().endswith(",")
    return is_separated and first.endswith(",") and is_json_row(first[:-1])


def refuse_arrays(path: Path, lines: Sequence[str]) -> None:
    """An array on each line would be the rows in the first line, and a row in the others."""
    if len(lines) > 1 and is_array(lines[0]) and is_array(lines[1]):
        raise SettingsError(
            f"The input {path} has an array on each line, which is no row; write an object for each of them, such as "
            '{"image": ["a.jpg", "b.jpg"]}.'
        )


def is_array(line: str) -> bool:
    """Whether the line is a whole array."""
    if not line.lstrip().startswith("["):
        return False
    try:
        return isinstance(load_value(line.encode("utf-8", "surrogateescape")), list)
    except ValueError:
        return False


def starts_array(lines: Sequence[str]) -> bool:
    """An INI or TOML file also begins with a bracket."""
    rest = "".join(lines).lstrip()[1:].lstrip()
    return rest == "" or rest[0] in '{["]-' or rest[0].isdigit()


def continues_on_next_line(lines: Sequence[str]) -> bool:
    """Whether an object of several lines begins; a broken row is followed by another row."""
    if len(lines) == 1 or is_json_row(lines[1].strip()):
        return False
    return lines[0].rstrip().endswith(("{", "[", ",", ":")) or lines[1].lstrip().startswith((",", "}", "]"))


def describe_markup(start: str) -> str:
    description = describe_content(start.encode("utf-8", "surrogateescape"))
    return "an XML file" if description == "text" else description
