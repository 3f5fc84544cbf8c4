"""Measures images by the headers of their files, without reading their pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import RowError
from persqa_client.images.decode import DECODER_ERRORS, OPENERS, check_dimensions, decoder_errors
from persqa_client.images.formats import detect_format
from persqa_client.images.prepare import read_image
from persqa_client.images.references import MAX_FILE_BYTES, FileVersion, NamedErrors, get_file_version

# Formats whose header shows whether an image can be sent. TIFFs may be raw photos.
PLAIN_FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP"})
# Bytes that show a format.
HEAD_BYTES = 4096


class PictureSize(NamedTuple):
    # Of the file.
    bytes: int
    # In pixels, before it is turned upright or reduced.
    width: int
    height: int


def measure_picture(reference: str, roots: Sequence[Path]) -> PictureSize:
    """Reads the whole file only if its header does not suffice.

    A plain file that is cut off later is not noticed. Raises RowError like ``read_image``. Blocks.
    """
    version = get_file_version(reference, roots)
    size = None if version is None or version.size > MAX_FILE_BYTES else read_picture_header(version)
    if size is not None:
        with NamedErrors(reference):
            check_dimensions(size.width, size.height, "")
        return size
    source = read_image(reference, roots)
    with NamedErrors(reference), decoder_errors(source.format):
        opened = OPENERS[source.format](io.BytesIO(source.data))
    return PictureSize(len(source.data) if version is None else version.size, *opened.size)


def read_picture_header(version: FileVersion) -> PictureSize | None:
    """None if the header does not show the size of an image that can be sent."""
    try:
        with open(version.path, "rb") as file:
            format = detect_format(file.read(HEAD_BYTES))
            if format not in PLAIN_FORMATS:
                return None
            file.seek(0)
            opened = OPENERS[format](file)  # type: ignore[arg-type]
            return PictureSize(version.size, *opened.size)
    except (*DECODER_ERRORS, RowError):
        return None
