"""Pictures that Python callers give as bytes or PIL images, in place of a path.

Such a picture is a data: URI with its place among the rows. Where a row is written or shown, the place stands for it.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pybase64
from PIL import Image, ImageOps

from persqa_client.errors import RowError, SettingsError
from persqa_client.types import BadRow, Row

Picture = str | Path | bytes | bytearray | Image.Image
Rows = Iterable[Mapping[str, Any] | Picture]

# Its digest is what the picture counts as in the choice of its questions. Only what ``embed_picture`` makes, since a
# row of a file may have any text, and the place is written into JSON.
PLACED = re.compile(
    r"data:;place=(?P<place>row%20[0-9]{1,20}%2C%20(?:picture%20[0-9]{1,20}|reference));digest=(?P<digest>[0-9a-f]{32})"
    r"(?:;problem=[\w.~%-]*)?;base64,[A-Za-z0-9+/=]*"
)
PLACED_BYTES = re.compile(PLACED.pattern.encode())
MARK = b"data:;place="
PLACE = re.compile(r"row [0-9]+, (?:picture [0-9]+|reference)")
# The end of a text that is no path.
QUESTION = re.compile(r"[?？]\s*$")
# Pillow modes that PNG supports.
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})


def embed_pictures(row: object, number: int, image_key: str, reference_key: str | None = None) -> object:
    """The row with text in place of the pictures in it."""
    if not isinstance(row, Mapping):
        return embed_picture(row, f"row {number}, picture 1")
    embedded = dict(row)
    if image_key in row:
        given = row[image_key]
        if isinstance(given, list | tuple):
            embedded[image_key] = [
                embed_picture(each, f"row {number}, picture {place}") for place, each in enumerate(given, 1)
            ]
        else:
            embedded[image_key] = embed_picture(given, f"row {number}, picture 1")
    if reference_key is not None and reference_key in row:
        embedded[reference_key] = embed_picture(row[reference_key], f"row {number}, reference")
    return embedded


def embed_picture(picture: object, place: str) -> object:
    """A data: URI that has the content, or why there is none; other objects stay."""
    problem = ""
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
    content = pybase64.b64encode(data).decode()
    return f"data:;place={quote(place, safe='')};digest={digest}{problem};base64,{content}"


def is_lone_picture(value: object) -> bool:
    """Whether it is the content of one picture; a path may also name a file with rows, or a folder."""
    return isinstance(value, bytes | bytearray | Image.Image)


def explain_no_picture(value: object) -> str | None:
    """Advice for an object that holds a picture, but is not a ``Picture``; None for other objects."""
    if isinstance(value, Picture):
        return None
    kind = type(value).__name__
    if hasattr(value, "__array__"):
        return f"is an array ({kind}): give PIL.Image.fromarray(array)"
    if isinstance(value, memoryview):
        return "is a memoryview: give bytes(view)"
    if hasattr(value, "read"):
        return f"is an open file ({kind}): give its path, or its content with read()"
    return None


def check_pictures(pictures: Sequence[object]) -> None:
    """Raises SettingsError unless there are pictures, and each is one."""
    if not pictures:
        raise SettingsError("There is no picture: give one or several.")
    for number, picture in enumerate(pictures, 1):
        if isinstance(picture, str) and QUESTION.search(picture) and not os.path.exists(picture):
            raise SettingsError(f"Picture {number} is a question: give it as question={picture!r}.")
        if isinstance(picture, Picture):
            continue
        instead = explain_no_picture(picture)
        if instead is None:
            kind = type(picture).__name__
            instead = f"is of the type {kind}: give a path, the bytes of a file, or a PIL image"
            if isinstance(picture, Mapping):
                instead = "is a dict: answer takes a row, and ask its pictures and question"
            elif isinstance(picture, list | tuple):
                instead = f"is a {kind}: give several pictures one after the other, as in ask(*pictures)"
        raise SettingsError(f"Picture {number} {instead}.")


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
    return any(map(PLACE.fullmatch, row.pictures))


def name_pictures(row: Row | BadRow) -> Row | BadRow:
    """The row with places in ``images``, too, as a caller gets it back."""
    if isinstance(row, BadRow) or not row.names:
        return row
    reference = None if row.reference is None else name_place(row.reference)
    return row._replace(images=tuple(map(name_place, row.images)), reference=reference, given=None)


def name_place(image: str) -> str:
    found = PLACED.fullmatch(image)
    return image if found is None else unquote(found["place"])
