"""Pictures that a frame itself holds, as bytes or decoded: kept as files by what is in them, or as data: URIs. Writes
files.
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

# The cells of a data frame: what names or holds pictures in them, whatever they are, and arrays as lists. Pure.

LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
BETWEEN = re.compile(r"[\s,]*")
GAPS = frozenset({"NoneType", "NAType", "NaTType"})


def plain(value: Any) -> Any:
    """The value with numpy's arrays and numbers, wherever in it, as Python's own: what Parquet gives and JSON takes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NaN, NaT or pandas' NA."""
    # Numbers alone are compared: an array would answer for each of its items, a picture would look at its pixels.
    return type(value).__name__ in GAPS or (isinstance(value, Number) and value != value)


def picture_cells(value: Any) -> list[Any]:
    """The pictures of a cell of the image column, one by one: a list, a string, an array, or the text of a list.

    Paths become text, what ``datasets`` makes of a picture becomes its bytes or its path, gaps are left out; what else
    there is stays, to be taken or refused by whoever reads the row.
    """
    value = plain(value)
    if isinstance(value, str):
        value = read_text(value)
    cells = map(unpacked, value if isinstance(value, list) else [value])
    return [cell for cell in cells if not (is_missing(cell) or (isinstance(cell, str) and not cell.strip()))]


def unpacked(cell: Any) -> Any:
    """Of ``datasets``' pairs of bytes and path: the bytes, or the path where they lie in that file."""
    if isinstance(cell, dict) and cell.keys() & {"bytes", "path"}:
        held = cell.get("bytes")
        if isinstance(held, str) and held.startswith(("b'", 'b"')):
            # DataFlow's storages write bytes as Python prints them, whatever the file's kind.
            held = unprinted(held)
        cell = cell.get("path") if is_missing(held) else held
    return fspath(cell) if isinstance(cell, PathLike) else cell


def unprinted(text: str) -> Any:
    """What Python printed so; the text itself where it prints nothing so."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def read_text(text: str) -> Any:
    """The list, or the pair of bytes and path, that a text shows (CSV keeps no other); any other text as it is."""
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        listed = list_from_text(bare)
        return text if listed is None else listed
    return unprinted(bare) if bare.startswith("{'bytes': ") else text


def list_from_text(bare: str) -> list[Any] | None:
    """As JSON, Python or numpy would print it; None for any other."""
    try:
        value = json.loads(bare)
    except ValueError:
        return printed_list(bare[1:-1])
    return value if isinstance(value, list) else None


def printed_list(inside: str) -> list[str] | None:
    """Quoted strings with commas or spaces between them. ``ast`` alone would join numpy's, which have no commas."""
    if BETWEEN.fullmatch(LITERAL.sub("", inside)) is None:
        return None
    try:
        return [str(ast.literal_eval(found)) for found in LITERAL.findall(inside)]
    except (ValueError, SyntaxError):
        return None


PICTURES = (bytes, bytearray, Image.Image)
"""What a cell may hold in place of a path."""
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})
"""Of Pillow's pictures that PNG takes as they are."""


def references_of(cell: Any, keep: Callable[[bytes], str]) -> tuple[str, ...]:
    """What a cell names or holds, as references: ``keep`` gives one for a picture that it holds.

    Raises RowError where there is something else in it, or a picture that can't be read.
    """
    return tuple(each if isinstance(each, str) else keep(held_in(each)) for each in picture_cells(cell))


def held_in(cell: Any) -> bytes:
    """The file of a picture: its bytes, or what Pillow makes of it. Raises RowError for what is no picture."""
    if isinstance(cell, bytes | bytearray):
        return bytes(cell)
    if isinstance(cell, Image.Image):
        return drawn(cell)
    given = type(cell).__name__
    raise RowError("bad_image_field", f"pictures are given as paths, as bytes or as Pillow's, not as {given}")


def drawn(image: Image.Image) -> bytes:
    """As PNG, upright; quickly rather than small, for it is on its way."""
    out = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        fit = upright if upright.mode in PNG_MODES else upright.convert("RGB")
        fit.save(out, "PNG", compress_level=1)
    except (OSError, SyntaxError, ValueError) as error:
        # What Pillow raises of files that it reads only now, and of colours that it can not convert.
        raise RowError("image_unreadable", f"the picture can't be drawn ({error})") from error
    return out.getvalue()


def data_uri(data: bytes) -> str:
    """By its own bytes: what it is called is not believed."""
    format = detect_format(data)
    kind = "application/octet-stream" if format is None else f"image/{format.lower()}"
    return f"data:{kind};base64,{pybase64.b64encode(data).decode()}"


def as_text(value: Any) -> str:
    """How text formats hold what they have no form for: a picture so that it can be read again, else what it says."""
    try:
        return data_uri(held_in(value))
    except RowError:
        return str(value)


def in_one_text(cell: Any) -> Any:
    """The pictures that a cell holds as one text, that of a list where they are several; any other cell as it is."""
    cells = [] if isinstance(cell, str) else picture_cells(cell)
    if not any(isinstance(each, PICTURES) for each in cells):
        return cell
    texts = [each if isinstance(each, str) else as_text(each) for each in cells]
    return texts[0] if len(texts) == 1 else json.dumps(texts)


class PictureFolder:
    """Keeps pictures under names that follow from what is in them: each is written once, and every later run finds it.

    The names are the same wherever the folder lies, and so are the questions that are drawn by them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.used = False

    @property
    def roots(self) -> tuple[Path, ...]:
        """Where to look for pictures beside the usual places."""
        return (self.path,) if self.used else ()

    def keep(self, data: bytes) -> str:
        """The name of the file, in the folder. Raises StorageError."""
        self.used = True
        format = detect_format(data)
        name = blake2b(data, digest_size=16).hexdigest() + (f".{format.lower()}" if format else "")
        path = self.path / name
        try:
            # One of another size was cut off by a crash of the machine.
            if not path.exists() or path.stat().st_size != len(data):
                self._write(path, data)
        except OSError as error:
            raise StorageError(f"A picture can't be kept in {self.path}: {error.strerror or error}.") from error
        return name

    def _write(self, path: Path, data: bytes) -> None:
        """Beside its place first, so that no killed process leaves half a file there."""
        self.path.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(path)
