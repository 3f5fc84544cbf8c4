"""A cache of images that were encoded again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from cachetools import LRUCache, cached

from persqa_client.images.prepare import SourceImage, read_image
from persqa_client.images.references import FileVersion, get_file_version
from persqa_client.types import EncodedImage

MAX_KNOWN_FILES = 8_192


class ImageCache:
    """Loads images, and keeps those that were encoded again: up to ``max_bytes``, the least recently used going first.

    Images that are sent as they are are not kept, since reading the file again costs less than a digest of it.
    Thread-safe: if two threads need the same image, one encodes it and the other waits. Errors are not kept.
    """

    def __init__(self, roots: Sequence[Path], *, max_pixels: int, max_bytes: int) -> None:
        self._roots = roots
        self._max_pixels = max_pixels
        self._lock = threading.Condition()
        self._reencoded: LRUCache[bytes, EncodedImage] = LRUCache(max_bytes, getsizeof=lambda image: len(image.data))
        self._reencode = cached(self._reencoded, key=lambda source, _: source.digest, condition=self._lock)(
            SourceImage.reencoded
        )
        # An unchanged file is not read again as long as its image is in the cache, or is held by a request.
        self._digests: LRUCache[FileVersion, bytes] = LRUCache(MAX_KNOWN_FILES)
        self._in_use: WeakValueDictionary[FileVersion, EncodedImage] = WeakValueDictionary()

    @property
    def size(self) -> int:
        """Bytes of the images in the cache."""
        return int(self._reencoded.currsize)

    def load(self, reference: str) -> EncodedImage:
        """The image as load_image returns it, with its errors. Blocks."""
        version = get_file_version(reference, self._roots)
        if version is not None:
            with self._lock:
                digest = self._digests.get(version)
                image = self._reencoded.get(digest) if digest is not None else None
            if image is None:
                image = self._in_use.get(version)
            if image is not None:
                return image
        source = read_image(reference, self._roots)
        image = source.as_is(self._max_pixels)
        if image is None:
            image = self._reencode(source, self._max_pixels)
            if version is not None:
                with self._lock:
                    self._digests[version] = source.digest
        if version is not None:
            self._in_use[version] = image
        return image
