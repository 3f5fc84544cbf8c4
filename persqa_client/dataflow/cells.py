"""Cells of the image column of a data frame.

A cell holds paths, bytes, Pillow images or ``datasets`` structs, alone or in lists, arrays or printed lists.
"""

from __future__ import annotations

import ast
import io
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
from PIL import Image, ImageOps

from persqa_client.errors import RowError, StorageError
from persqa_client.images.formats import detect_format

STRING_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
SEPARATORS = re.compile(r"[\s,]*")
MISSING_TYPES = frozenset({"NoneType", "NAType", "NaTType"})


def to_plain_python(value: Any) -> Any:
    """Convert numpy arrays and scalars, at any depth, to Python lists and numbers."""
    if isinstance(value, dict):
        return {key: to_plain_python(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_python(item) for item in value]
    return to_plain_python(value.tolist()) if hasattr(value, "tolist") else value


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN, NaT or pandas' NA."""
    # Only numbers are compared with themselves: an array compares each item, an image its pixels.
    return type(value).__name__ in MISSING_TYPES or (isinstance(value, Number) and value != value)


def split_image_cell(value: Any) -> list[Any]:
    """Split a cell into its images: a list, a string, an array, or the printed form of a list.

    Paths become text and ``datasets`` structs become bytes or a path. Missing values are left out. Values of other
    types stay; the reader of the row accepts or rejects them.
    """
    value = to_plain_python(value)
    if isinstance(value, str):
        value = parse_cell_text(value)
    cells = map(unpack_image, value if isinstance(value, list) else [value])
    return [cell for cell in cells if not (is_missing(cell) or (isinstance(cell, str) and not cell.strip()))]


def unpack_image(cell: Any) -> Any:
    """Return the bytes of a ``datasets`` struct ``{"bytes", "path"}``, or its path if it has no bytes."""
    if isinstance(cell, dict) and cell.keys() & {"bytes", "path"}:
        held = cell.get("bytes")
        if isinstance(held, str) and held.startswith(("b'", 'b"')):
            # DataFlow's storages write bytes as their repr, in every file format.
            held = parse_literal(held)
        cell = cell.get("path") if is_missing(held) else held
    return fspath(cell) if isinstance(cell, PathLike) else cell


def parse_literal(text: str) -> Any:
    """Evaluate a Python literal; return the text itself if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_cell_text(text: str) -> Any:
    """Parse a printed list or ``datasets`` struct, as CSV keeps them; return any other text unchanged."""
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        listed = parse_list_text(bare)
        return text if listed is None else listed
    return parse_literal(bare) if bare.startswith("{'bytes': ") else text


def parse_list_text(bare: str) -> list[Any] | None:
    """Parse a list as printed by JSON, Python or numpy; None for any other text."""
    try:
        value = json.loads(bare)
    except ValueError:
        return parse_printed_strings(bare[1:-1])
    return value if isinstance(value, list) else None


def parse_printed_strings(inside: str) -> list[str] | None:
    """Parse quoted strings separated by commas or spaces. ``ast`` would join numpy's strings, which have no commas."""
    if SEPARATORS.fullmatch(STRING_LITERAL.sub("", inside)) is None:
        return None
    try:
        return [str(ast.literal_eval(found)) for found in STRING_LITERAL.findall(inside)]
    except (ValueError, SyntaxError):
        return None


# What a cell may hold instead of a path.
IMAGE_TYPES = (bytes, bytearray, Image.Image)
# Pillow modes that PNG stores without conversion.
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})


def resolve_references(cell: Any, keep: Callable[[bytes], str]) -> tuple[str, ...]:
    """Return the image references of a cell. ``keep`` stores an embedded image and returns its reference.

    Raises RowError if the cell holds anything else, or an image that can't be read.
    """
    return tuple(each if isinstance(each, str) else keep(read_image_bytes(each)) for each in split_image_cell(cell))


def read_image_bytes(cell: Any) -> bytes:
    """Return an embedded image as file bytes. Raises RowError if the value is not an image."""
    if isinstance(cell, bytes | bytearray):
        return bytes(cell)
    if isinstance(cell, Image.Image):
        return encode_png(cell)
    given = type(cell).__name__
    raise RowError("bad_image_field", f"an image must be a path, bytes or a Pillow image, not {given}")


def encode_png(image: Image.Image) -> bytes:
    """Encode a Pillow image as an upright PNG, with fast compression."""
    out = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        fit = upright if upright.mode in PNG_MODES else upright.convert("RGB")
        fit.save(out, "PNG", compress_level=1)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow reads lazily opened files only here, and can't convert every mode.
        raise RowError("image_unreadable", f"the image can't be encoded ({error})") from error
    return out.getvalue()


def make_data_uri(data: bytes) -> str:
    """Make a data URI whose media type follows from the bytes."""
    format = detect_format(data)
    kind = "application/octet-stream" if format is None else f"image/{format.lower()}"
    return f"data:{kind};base64,{pybase64.b64encode(data).decode()}"


def value_to_text(value: Any) -> str:
    """Represent a value in JSON or CSV: an image as a data URI, anything else as its ``str()``."""
    try:
        return make_data_uri(read_image_bytes(value))
    except RowError:
        return str(value)


def image_cell_to_text(cell: Any) -> Any:
    """Represent the images of a cell as one text, a JSON list if there are several; return other cells unchanged."""
    cells = [] if isinstance(cell, str) else split_image_cell(cell)
    if not any(isinstance(each, IMAGE_TYPES) for each in cells):
        return cell
    texts = [each if isinstance(each, str) else value_to_text(each) for each in cells]
    return texts[0] if len(texts) == 1 else json.dumps(texts)


class ImageFolder:
    """Stores embedded images as files that are named by a digest of their content.

    Each image is written once. Names do not depend on the folder's path, so the drawn questions don't either.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.used = False

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders in which references of this folder are found."""
        return (self.path,) if self.used else ()

    def store(self, data: bytes) -> str:
        """Store an image and return its file name in the folder. Raises StorageError."""
        self.used = True
        format = detect_format(data)
        name = blake2b(data, digest_size=16).hexdigest() + (f".{format.lower()}" if format else "")
        path = self.path / name
        try:
            # A file of another size was truncated by a crash of the machine.
            if not path.exists() or path.stat().st_size != len(data):
                self._write(path, data)
        except OSError as error:
            raise StorageError(
                f"An image can't be stored in {self.path}: {error.strerror or error}. Check permissions and free space."
            ) from error
        return name

    def _write(self, path: Path, data: bytes) -> None:
        """Write to a temporary name and rename, so that a killed process leaves no partial file."""
        self.path.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(path)
