"""Loads and converts images in threads, and assigns uuids to images that are sent repeatedly."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

import orjson
from cachetools import FIFOCache, LRUCache, cached

from persqa_client.errors import RowError
from persqa_client.images.decode import convert_image
from persqa_client.images.prepare import SourceImage, parse_image, read_image
from persqa_client.images.references import FileVersion, get_file_version
from persqa_client.types import BoxMark, EncodedImage, FileStamp, LoadedImage

MAX_KNOWN_FILES = 8_192


# A digest of the file's content, and the box that is drawn or cut.
ImageKey = tuple[bytes, BoxMark | None]
MarkedVersion = tuple[FileVersion, BoxMark | None]
# Larger files are not read in the event loop: they would block it for a millisecond or more.
MAX_CACHED_BYTES = 1_000_000


def make_image_key(source: SourceImage, max_pixels: int, mark: BoxMark | None) -> ImageKey:
    """``max_pixels`` is the same for all images of a cache."""
    return source.digest, mark


class ImageCache:
    """Caches re-encoded images: up to ``max_bytes``, least recently used first out.

    Images sent unchanged are not cached, because reading them again is cheaper than a digest. Thread-safe: an image
    that several threads need is encoded once, unless it is larger than the cache. Errors are not cached.
    """

    def __init__(self, roots: Sequence[Path], *, max_pixels: int, max_bytes: int) -> None:
        self._roots = roots
        self._max_pixels = max_pixels
        self._lock = threading.Condition()
        self._reencoded: LRUCache[ImageKey, EncodedImage] = LRUCache(max_bytes, getsizeof=lambda image: len(image.data))
        self._reencode = cached(self._reencoded, key=make_image_key, condition=self._lock)(SourceImage.reencoded)
        # An unchanged file is not read again while its image is in the cache or in use.
        self._keys: LRUCache[MarkedVersion, ImageKey] = LRUCache(MAX_KNOWN_FILES)
        self._in_use: WeakValueDictionary[MarkedVersion, EncodedImage] = WeakValueDictionary()

    @property
    def size(self) -> int:
        return int(self._reencoded.currsize)

    def find_version(self, reference: str) -> FileVersion | None:
        return get_file_version(reference, self._roots)

    def load(self, reference: str, version: FileVersion | None = None, mark: BoxMark | None = None) -> EncodedImage:
        """Blocks. Raises like load_image. ``version``: the current one, if the caller has it."""
        version = version or self.find_version(reference)
        image = self._find(version, mark)
        if image is not None:
            return image
        source = read_image(reference, self._roots)
        image = source.as_is(self._max_pixels) if mark is None else None
        if image is None:
            image = self._reencode(source, self._max_pixels, mark)
            if version is not None:
                with self._lock:
                    self._keys[version, mark] = make_image_key(source, self._max_pixels, mark)
        if version is not None:
            self._in_use[version, mark] = image
        return image

    def load_at_once(
        self, reference: str, version: FileVersion | None = None, mark: BoxMark | None = None
    ) -> EncodedImage | None:
        """Like ``load``, but returns None if that would wait for a disk, re-encode the image or raise an error."""
        version = version or self.find_version(reference)
        image = self._find(version, mark)
        if image is not None or version is None or mark is not None:
            return image
        data = read_cached_file(version.path, version.size)
        if data is None:
            return None
        try:
            image = parse_image(reference, data, restores_end=False).as_is(self._max_pixels)
        except RowError:
            return None
        if image is not None:
            self._in_use[version, None] = image
        return image

    def _find(self, version: FileVersion | None, mark: BoxMark | None) -> EncodedImage | None:
        if version is None:
            return None
        with self._lock:
            key = self._keys.get((version, mark))
            image = self._reencoded.get(key) if key is not None else None
        return image or self._in_use.get((version, mark))


# Request fields that change how a server processes the image.
PROCESSOR_FIELDS = ("mm_processor_kwargs", "media_io_kwargs")
# Number of references remembered as loaded before.
MAX_KNOWN_REFERENCES = 65_536


def add_image_uuid(image: EncodedImage, fields: Mapping[str, Any]) -> EncodedImage:
    """Equal for equal bytes, media type and settings in all runs.

    A server keeps the first image for a uuid and ignores later ones, so the uuid is a SHA-256 digest.
    """
    settings = {field: fields[field] for field in PROCESSOR_FIELDS if fields.get(field)}
    digest = sha256(orjson.dumps([image.media_type, settings], option=orjson.OPT_SORT_KEYS))
    digest.update(image.data)
    return replace(image, uuid=f"persqa-{digest.hexdigest()}")


class LoadImage(Protocol):
    """``ImageLoader.load``, or what does more before it."""

    def __call__(self, reference: str, mark: BoxMark | None = None) -> Awaitable[LoadedImage]: ...


LoadKey = tuple[str, FileVersion | None, BoxMark | None]


class ImageLoader:
    """``fields``: additional fields of the requests. ``share_all`` shares all images, ``share_repeated`` only those
    loaded a second time and, from the first time on, those in ``shared``. A shared image has a uuid, and concurrent
    requests use one copy. Others have none, because the digest is expensive.
    """

    def __init__(
        self,
        cache: ImageCache,
        threads: Executor,
        fields: Mapping[str, Any],
        *,
        share_all: bool,
        share_repeated: bool,
        shared: Collection[str] = (),
        max_known: int = MAX_KNOWN_REFERENCES,
    ) -> None:
        self._cache = cache
        self._threads = threads
        self._fields = fields
        self._share_all = share_all
        self._share_repeated = share_repeated
        self._always_shared = frozenset(shared)
        self._seen: FIFOCache[int, None] = FIFOCache(max_known)
        # By reference, version and mark: a file that was replaced is another image.
        self._loading: dict[LoadKey, asyncio.Task[EncodedImage]] = {}
        self._shared: WeakValueDictionary[LoadKey, EncodedImage] = WeakValueDictionary()

    async def load(self, reference: str, mark: BoxMark | None = None) -> LoadedImage:
        """Raises RowError as load_image does."""
        # The version is read before the content. If the file is replaced in between, a later run compares digests.
        version = self._cache.find_version(reference)
        image = await self._load((reference, version, mark))
        if version is None or image.source_digest is None:
            return LoadedImage(image)
        return LoadedImage(image, FileStamp(version.size, version.modified_ns, image.source_digest))

    async def _load(self, key: LoadKey) -> EncodedImage:
        reference, _, mark = key
        is_shared = self._share_all
        if self._share_repeated and not is_shared:
            # Only the hash is kept, since a reference may be a data: URI. A collision costs one digest.
            known = hash((reference, mark))
            is_shared = known in self._seen or reference in self._always_shared
            self._seen.setdefault(known)
        if is_shared:
            return self._shared.get(key) or await self._load_shared(key)
        # A thread costs 0.3 ms of CPU time per image (scripts/bench.py hot-path), more than the rest of the loading.
        image = self._cache.load_at_once(*key)
        if image is not None:
            return image
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._cache.load, *key)

    async def _load_shared(self, key: LoadKey) -> EncodedImage:
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load_with_uuid(key))
        # Shielded: other requests may wait for the same image if this one is cancelled.
        return await asyncio.shield(task)

    async def _load_with_uuid(self, key: LoadKey) -> EncodedImage:
        def load() -> EncodedImage:
            return add_image_uuid(self._cache.load(*key), self._fields)

        try:
            image = await asyncio.get_running_loop().run_in_executor(self._threads, load)
            self._shared[key] = image
            return image
        finally:
            del self._loading[key]


@dataclass(frozen=True, slots=True)
class ImageForm:
    """The form in which images are sent: without some media types, and all together within so many bytes of base64."""

    refused_types: frozenset[str] = frozenset()
    max_bytes: int | None = None


class ImageConverter:
    """Converts images in threads, each image in use once for each form.

    ``fields``: as for ``add_image_uuid``. A converted image has a uuid of its own if the original has one.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._converted: WeakKeyDictionary[EncodedImage, dict[ImageForm, EncodedImage]] = WeakKeyDictionary()
        self._running: dict[tuple[EncodedImage, ImageForm], asyncio.Task[EncodedImage | RowError]] = {}

    async def convert(self, images: Sequence[EncodedImage], form: ImageForm) -> tuple[EncodedImage, ...]:
        """Raises RowError like ``convert_image``."""
        share = form.max_bytes
        if share is not None:
            share = divide_bytes([base64_size(image) for image in images], share) // 4 * 3
        return tuple([await self._convert(image, ImageForm(form.refused_types, share)) for image in images])

    async def _convert(self, image: EncodedImage, form: ImageForm) -> EncodedImage:
        if image.media_type not in form.refused_types and (form.max_bytes is None or len(image.data) <= form.max_bytes):
            return image
        if (known := self._converted.get(image, {}).get(form)) is not None:
            return known
        key = (image, form)
        if key not in self._running:
            self._running[key] = asyncio.create_task(asyncio.to_thread(self._convert_now, image, form))
            self._running[key].add_done_callback(lambda _: self._running.pop(key))
        # Shielded: other requests may wait for the same image if this one is cancelled.
        converted = await asyncio.shield(self._running[key])
        if isinstance(converted, RowError):
            raise RowError(converted.code, converted.message)
        # An entry whose value is its key would never be removed.
        if converted is not image:
            self._converted.setdefault(image, {})[form] = converted
        return converted

    def _convert_now(self, image: EncodedImage, form: ImageForm) -> EncodedImage | RowError:
        """Returns errors, because several requests may raise them."""
        try:
            converted = convert_image(image, form.refused_types, form.max_bytes)
        except RowError as error:
            return error
        if converted is image or image.uuid is None:
            return converted
        return add_image_uuid(converted, self._fields)


def base64_size(image: EncodedImage) -> int:
    return (len(image.data) + 2) // 3 * 4


def total_size(images: Collection[EncodedImage]) -> int:
    """Total size of the images in base64."""
    return sum(map(base64_size, images))


def divide_bytes(sizes: Sequence[int], total: int) -> int:
    """The size to which the largest have to be reduced so that all together have ``total``.

    Rounded down, so that requests with longer and shorter texts send the same images.
    """
    left = total
    for position, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - position)
        if size > share:
            step = 1 << max(0, share.bit_length() - 5)
            return share // step * step
        left -= size
    return total


def read_cached_file(path: str, size: int) -> bytes | None:
    """The content of a small regular file if the system has it in its page cache, else None. Does not wait for a disk.

    Also None if the file cannot be read, has another size, or the system does not say what it has cached.
    """
    if not hasattr(os, "RWF_NOWAIT") or not 0 < size <= MAX_CACHED_BYTES:
        return None
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # Small files are read ahead as a whole: if these bytes are cached, the others are.
            for offset in (size - 1, size // 2, 0):
                os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT)
            data = os.read(file, size + 1)
        finally:
            os.close(file)
    except OSError:
        return None
    return data if len(data) == size else None
