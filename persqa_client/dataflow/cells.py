"""Cells of the image column: paths, bytes, Pillow images or ``datasets`` structs, alone or in lists, arrays or printed
lists.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable
from hashlib import blake2b
from numbers import Number
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pybase64
from PIL import Image

from persqa_client.errors import RowError, StorageError
from persqa_client.images.formats import detect_format
from persqa_client.inputs.memory_pictures import encode_png

STRING_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
SEPARATORS = re.compile(r"[\s,]*")
MISSING_TYPES = frozenset({"NoneType", "NAType", "NaTType"})


def to_plain_python(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: to_plain_python(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_python(item) for item in value]
    return to_plain_python(value.tolist()) if hasattr(value, "tolist") else value


def is_missing(value: object) -> bool:
    # Only numbers are compared: arrays compare items, images pixels.
    return type(value).__name__ in MISSING_TYPES or (isinstance(value, Number) and value != value)


def split_image_cell(value: Any) -> list[Any]:
    """Paths become text, ``datasets`` structs bytes or a path. Missing values are dropped, other types kept."""
    value = to_plain_python(value)
    if isinstance(value, str):
        value = parse_cell_text(value)
    cells = map(unpack_image, value if isinstance(value, list) else [value])
    return [cell for cell in cells if not (is_missing(cell) or (isinstance(cell, str) and not cell.strip()))]


def unpack_image(cell: Any) -> Any:
    """The bytes of a ``datasets`` struct ``{"bytes", "path"}``, or else its path."""
    if isinstance(cell, dict) and cell.keys() & {"bytes", "path"}:
        held = cell.get("bytes")
        if isinstance(held, str) and held.startswith(("b'", 'b"')):
            # DataFlow's storages write bytes as their repr.
            held = parse_literal(held)
        cell = cell.get("path") if is_missing(held) else held
    return fspath(cell) if isinstance(cell, PathLike) else cell


def parse_literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_cell_text(text: str) -> Any:
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        listed = parse_list_text(bare)
        return text if listed is None else listed
    return parse_literal(bare) if bare.startswith("{'bytes': ") else text


def parse_list_text(bare: str) -> list[Any] | None:
    """A list printed by JSON, Python or numpy; None for other texts."""
    try:
        value = json.loads(bare)
    except ValueError:
        return parse_printed_strings(bare[1:-1])
    return value if isinstance(value, list) else None


def parse_printed_strings(inside: str) -> list[str] | None:
    """Quoted strings separated by commas or spaces. ``ast`` would join numpy's strings, which have no commas."""
    if SEPARATORS.fullmatch(STRING_LITERAL.sub("", inside)) is None:
        return None
    try:
        return [str(ast.literal_eval(found)) for found in STRING_LITERAL.findall(inside)]
    except (ValueError, SyntaxError):
        return None


# Contents of a cell other than paths.
IMAGE_TYPES = (bytes, bytearray, Image.Image)


def resolve_references(cell: Any, keep: Callable[[bytes], str]) -> tuple[str, ...]:
    """Image references of a cell. ``keep`` stores an embedded image and returns its reference.

    Raises RowError for other contents and unreadable images.
    """
    return tuple(each if isinstance(each, str) else keep(read_image_bytes(each)) for each in split_image_cell(cell))


def read_image_bytes(cell: Any) -> bytes:
    if isinstance(cell, bytes | bytearray):
        return bytes(cell)
    if isinstance(cell, Image.Image):
        return encode_png(cell)
    given = type(cell).__name__
    raise RowError("bad_image_field", f"an image must be a path, bytes or a Pillow image, not {given}")


def make_data_uri(data: bytes) -> str:
    format = detect_format(data)
    kind = "application/octet-stream" if format is None else f"image/{format.lower()}"
    return f"data:{kind};base64,{pybase64.b64encode(data).decode()}"


def value_to_text(value: Any) -> str:
    """The value as text for JSON or CSV: an image becomes a data URI, other values their ``str()``."""
    try:
        return make_data_uri(read_image_bytes(value))
    except RowError:
        return str(value)


def image_cell_to_text(cell: Any) -> Any:
    cells = [] if isinstance(cell, str) else split_image_cell(cell)
    if not any(isinstance(each, IMAGE_TYPES) for each in cells):
        return cell
    texts = [each if isinstance(each, str) else value_to_text(each) for each in cells]
    return texts[0] if len(texts) == 1 else json.dumps(texts)


class ImageFolder:
    """Stores each embedded image once, in a file named by its digest.

    Names do not depend on the folder, so the choice of questions doesn't either.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.used = False

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.path,) if self.used else ()

    def store(self, data: bytes) -> str:
        self.used = True
        format = detect_format(data)
        name = blake2b(data, digest_size=16).hexdigest() + (f".{format.lower()}" if format else "")
        path = self.path / name
        try:
            # Another size means that a crash of the machine truncated the file.
            if not path.exists() or path.stat().st_size != len(data):
                self._write(path, data)
        except OSError as error:
            raise StorageError(
                f"An image can't be stored in {self.path}: {error.strerror or error}. Check permissions and free space."
            ) from error
        return name

    def _write(self, path: Path, data: bytes) -> None:
        """Renames a temporary file, so that a killed process leaves no partial file."""
        self.path.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(path)
