"""Pictures that a frame itself holds, as bytes or decoded: kept as files by what is in them, or as data: URIs. Writes
files."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pybase64
from PIL import Image, ImageOps

from persqa_client.dataflow.columns import picture_cells
from persqa_client.errors import RowError, StorageError
from persqa_client.images.formats import format_of

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
    format = format_of(data)
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
        format = format_of(data)
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
