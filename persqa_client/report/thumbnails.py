"""Makes small JPEG thumbnails of pictures, as data: URIs. Reads files."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.prepare import read_image

MAX_THUMBNAILS = 2000
# The longest side. A card shows it at about this width, so a denser screen sees it softly.
MAX_SIDE = 160
QUALITY = 72
# For the first reduction, which keeps enough pixels of long pictures; the second one is exact.
MAX_PIXELS = (4 * MAX_SIDE) ** 2
MAX_THREADS = 8


class Picture(NamedTuple):
    reference: str
    roots: tuple[Path, ...]


class Thumbnail(NamedTuple):
    """A data: URI, or the reason why there is none."""

    uri: str = ""
    problem: str = ""


def sample_evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, at even distances, with the first one."""
    if count <= most:
        return list(range(count))
    return [number * count // most for number in range(most)]


def make_thumbnails(pictures: Sequence[Picture]) -> Iterator[Thumbnail]:
    """In the order of the pictures. Decoding releases the interpreter's lock, so threads use all processors."""
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(make_thumbnail, pictures)


def make_thumbnail(picture: Picture) -> Thumbnail:
    """Upright, in sRGB and without metadata, as the picture was sent."""
    try:
        encoded = read_image(picture.reference, picture.roots).reencoded(MAX_PIXELS)
    except RowError as error:
        return Thumbnail(problem=error.message)
    with Image.open(io.BytesIO(encoded.data)) as image:
        small = image.convert("RGB")
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}")
