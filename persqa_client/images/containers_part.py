"""Which walk goes with which kind of picture file: to cut its metadata, and to see whether it is whole. Pure."""

from __future__ import annotations

from collections.abc import Callable

from persqa_client.images.bmp import check_bmp
from persqa_client.images.containers import check_tiff
from persqa_client.images.gif import check_gif
from persqa_client.images.heif import check_isobmff
from persqa_client.images.jpeg import read_jpeg
from persqa_client.images.png import read_png
from persqa_client.images.structure import Stripped
from persqa_client.images.webp import read_webp

READERS: dict[str, Callable[[bytes], Stripped]] = {"JPEG": read_jpeg, "PNG": read_png, "WEBP": read_webp}
"""The kinds that may go out as their own bytes; reading them finds what is cut off, too."""
CHECKS: dict[str, Callable[[bytes], None]] = {
    "GIF": check_gif,
    "BMP": check_bmp,
    "TIFF": check_tiff,
    "AVIF": check_isobmff,
    "HEIC": check_isobmff,
}
"""The kinds that are always drawn anew."""


def strip(data: bytes, format: str) -> Stripped | None:
    """Without metadata where the kind can go out as its own bytes, else None. Raises Truncated for cut-off files."""
    if format in READERS:
        return READERS[format](data)
    CHECKS[format](data)
    return None
