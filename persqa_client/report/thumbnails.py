"""Makes small JPEG thumbnails of pictures: as data: URIs, or as files that are kept for a while. Reads files."""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cachetools import LRUCache
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.prepare import SourceImage, read_image
from persqa_client.images.references import FileVersion, get_file_version

MAX_THUMBNAILS = 2000
# The longest side. A card shows it at about this width, so a denser screen sees it softly.
MAX_SIDE = 160
QUALITY = 72
# A picture is reduced to the square of so many times the longest side before it is reduced exactly. With 3, the decoder
# of JPEG reduces a photo of 12 megapixels to a quarter of its sides for a thumbnail; with 4, only to a half.
FIRST_REDUCTION = 3
# Size of a picture that is shown alone.
LARGE_SIDE = 1280
MAX_THREADS = 8
MAX_CACHE_BYTES = 32 << 20
MAX_KNOWN_FILES = 8_192


class Picture(NamedTuple):
    reference: str
    roots: tuple[Path, ...]


class Thumbnail(NamedTuple):
    """A data: URI, or the reason why there is none."""

    uri: str = ""
    problem: str = ""


def sample_evenly(count: int, most: int) -> list[int]:
    """Samples at most ``most`` of the numbers below ``count``, at even distances, with the first one."""
    if count <= most:
        return list(range(count))
    return [number * count // most for number in range(most)]


def make_thumbnails(pictures: Sequence[Picture]) -> Iterator[Thumbnail]:
    """Makes thumbnails in the order of the pictures. Decoding releases the interpreter's lock, so threads use all
    processors.
    """
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(make_thumbnail, pictures)


def make_thumbnail(picture: Picture) -> Thumbnail:
    """Upright, in sRGB and without metadata, as the picture was sent."""
    try:
        data = shrink_image(read_image(picture.reference, picture.roots), MAX_SIDE)
    except RowError as error:
        return Thumbnail(problem=error.message)
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}")


def shrink_image(source: SourceImage, side: int) -> bytes:
    """A JPEG file whose longest side is at most ``side``. Raises RowError."""
    # The first reduction keeps enough pixels of long pictures; the second one is exact.
    encoded = source.reencoded((FIRST_REDUCTION * side) ** 2)
    with Image.open(io.BytesIO(encoded.data)) as image:
        small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


class ThumbnailCache:
    """Thumbnails by the content of their pictures, the least recently used first out. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._lock = threading.Lock()
        self._made: LRUCache[tuple[bytes, int], bytes] = LRUCache(max_bytes, getsizeof=len)
        # An unchanged file is not read again.
        self._digests: LRUCache[FileVersion, bytes] = LRUCache(MAX_KNOWN_FILES)

    def make(self, picture: Picture, side: int) -> bytes:
        """A JPEG file. Blocks. Raises RowError like read_image."""
        version = get_file_version(*picture)
        with self._lock:
            digest = self._digests.get(version) if version is not None else None
            found = self._made.get((digest, side)) if digest is not None else None
        if found is not None:
            return found
        source = read_image(*picture)
        with self._lock:
            if version is not None:
                self._digests[version] = source.digest
            found = self._made.get((source.digest, side))
        if found is None:
            found = shrink_image(source, side)
            with self._lock, suppress(ValueError):  # larger than the cache
                self._made[source.digest, side] = found
        return found
