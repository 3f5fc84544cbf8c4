"""Pictures that Python callers give as bytes or PIL images, in place of a path.

Such a picture is a data: URI with its place among the rows. Where a row is written or shown, the place stands for it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pybase64
from PIL import Image, ImageOps

from persqa_client.errors import RowError
from persqa_client.types import BadRow, Row

Picture = str | Path | bytes | bytearray | Image.Image
Rows = Iterable[Mapping[str, Any] | Picture]

# Its digest is what the picture counts as in the choice of its questions. Only what ``embed_picture`` makes, since a
# row of a file may have any text, and the place is written into JSON.
PLACED = re.compile(
    r"data:;place=(?P<place>row%20[0-9]{1,20}%2C%20picture%20[0-9]{1,20});digest=(?P<digest>[0-9a-f]{32})"
    r"(?:;problem=[\w.~%-]*)?;base64,[A-Za-z0-9+/=]*"
)
PLACED_BYTES = re.compile(PLACED.pattern.encode())
MARK = b"data:;place="
PLACE = re.compile(r"row [0-9]+, picture [0-9]+")
# Pillow modes that PNG supports.
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})


def embed_pictures(row: object, number: int, image_key: str) -> object:
    """The row with text in place of the pictures in it."""
    if not isinstance(row, Mapping):
        return embed_picture(row, number)
    if image_key not in row:
        return dict(row)
    given = row[image_key]
    if isinstance(given, list | tuple):
        return {**row, image_key: [embed_picture(each, number, place) for place, each in enumerate(given, 1)]}
    return {**row, image_key: embed_picture(given, number)}


def embed_picture(picture: object, row: int, number: int = 1) -> object:
    place, problem = quote(f"row {row}, picture {number}", safe=""), ""
    if isinstance(picture, bytes | bytearray):
        data = bytes(picture)
    elif isinstance(picture, Image.Image):
        try:
            data = encode_png(picture)
        except RowError as error:
            data, problem = b"", f";problem={quote(error.message, safe='')}"
    else:
        return picture
    digest = sha256(data).hexdigest()[:32]
    return f"data:;place={place};digest={digest}{problem};base64,{pybase64.b64encode(data).decode()}"


def encode_png(image: Image.Image) -> bytes:
    """The pixels upright, with the colour profile. Raises RowError."""
    stream = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        fit = upright if upright.mode in PNG_MODES else upright.convert("RGB")
        fit.save(stream, "PNG", compress_level=1)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow reads lazily opened files here, and can't convert every mode.
        raise RowError("image_unreadable", f"the image can't be encoded ({error})") from error
    return stream.getvalue()


def hide_pictures(row: Row | BadRow) -> Row | BadRow:
    """The row with the places of its pictures in its line. The pictures of a Row stay in ``images``."""
    if MARK not in row.line:
        return row
    line = PLACED_BYTES.sub(lambda found: unquote(found["place"].decode()).encode(), row.line)
    if isinstance(row, BadRow):
        return BadRow(row.number, line, row.code, row.message, given=row.given or row.line)
    names = tuple(PLACED.sub(lambda found: found["digest"], image) for image in row.images)
    return row._replace(line=line, names=names, given=row.given or row.line)


def names_memory(row: Row) -> bool:
    """Whether a row of an output names a picture that was no file."""
    return any(map(PLACE.fullmatch, row.images))


def name_pictures(row: Row | BadRow) -> Row | BadRow:
    """The row with places in ``images``, too, as a caller gets it back."""
    if isinstance(row, BadRow) or not row.names:
        return row
    return row._replace(images=tuple(map(name_place, row.images)), given=None)


def name_place(image: str) -> str:
    found = PLACED.fullmatch(image)
    return image if found is None else unquote(found["place"])
