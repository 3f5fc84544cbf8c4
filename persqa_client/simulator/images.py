"""Decodes images of requests in threads, and caches their facts."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

from cachetools import LRUCache

from persqa_client.errors import SettingsError
from persqa_client.simulator.chat_requests import ImagePart
from persqa_client.simulator.error_responses import ErrorResponse, bad_request_error
from persqa_client.simulator.vision import ImageFacts, NotBase64, UnreadableImage, decode_data_url, read_facts

MEDIA_TYPE = re.compile(r"image/([a-z0-9]{1,8})")
NUMBERED_FILE = re.compile(r"(\d+)\.\w+")

# What a uuid counts for that the server has never seen.
UNKNOWN_IMAGE = ImageFacts(560, 560, (("grey", 1.0),), 128.0, (1, 1), b"unknown.")

# Pillow releases the GIL while it decodes.
THREADS = 2


class ImageSaver:
    """Saves each distinct image as NNNNN.ext; numbers continue those in the folder.

    Raises SettingsError if the folder can't be created or written. Thread-safe.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numbered = (NUMBERED_FILE.fullmatch(path.name) for path in folder.iterdir())
            self.number = max((int(found[1]) for found in numbered if found), default=0)
        except OSError as error:
            raise SettingsError(f"--keep-pictures: {folder} is not a writable folder ({error.strerror}).") from error
        self.saved: set[bytes] = set()
        self.lock = threading.Lock()

    def save(self, data: bytes, media_type: str) -> None:
        """Saves an image once. After an OSError it counts as not saved."""
        digest = blake2b(data, digest_size=16).digest()
        with self.lock:
            if digest not in self.saved:
                with (self.folder / f"{self.number + 1:05}.{file_extension(media_type)}").open("xb") as file:
                    file.write(data)
                self.number += 1
                self.saved.add(digest)


def file_extension(media_type: str) -> str:
    found = MEDIA_TYPE.fullmatch(media_type.lower())
    return {"jpeg": "jpg"}.get(found[1], found[1]) if found else "bin"


class ImageReader:
    """``blind_to_uuids``: an unknown uuid counts as an image of this size instead of a bad request."""

    def __init__(self, size: int, saver: ImageSaver | None = None, *, blind_to_uuids: bool = False) -> None:
        self.saver = saver
        self._blind_to_uuids = blind_to_uuids
        self.cache_hits = 0
        self._by_url_hash: LRUCache[int, ImageFacts] = LRUCache(size)
        self._by_uuid: LRUCache[str, ImageFacts] = LRUCache(size)
        self._being_read: dict[int, asyncio.Future[ImageFacts | ErrorResponse]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="persqa-simulator")

    async def read(self, images: Sequence[ImagePart]) -> list[ImageFacts]:
        return [await self._read_image(image, index) for index, image in enumerate(images)]

    async def _read_image(self, image: ImagePart, index: int) -> ImageFacts:
        # As in vLLM's cache, a known uuid means its first image, even if other bytes are sent with it.
        if image.uuid is not None and (known := self._by_uuid.get(image.uuid)) is not None:
            self.cache_hits += 1
            return known
        if image.url is None and self._blind_to_uuids:
            return UNKNOWN_IMAGE
        if image.url is None:
            raise bad_request_error(f"Cache miss for image at index {index} but data is not provided.")
        facts = await self._read_url(image.url)
        if image.uuid is not None:
            self._by_uuid[image.uuid] = facts
        return facts

    async def _read_url(self, url: str) -> ImageFacts:
        key = hash(url)
        if (known := self._by_url_hash.get(key)) is not None:
            self.cache_hits += 1
            return known
        future = self._being_read.get(key)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._threads, read_url, url, self.saver)
            self._being_read[key] = future
            future.add_done_callback(lambda _: self._being_read.pop(key, None))
        # Shielded: other requests may wait for the same image if this one is cancelled.
        facts = await asyncio.shield(future)
        if isinstance(facts, ErrorResponse):
            raise facts
        self._by_url_hash[key] = facts
        return facts

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def read_url(url: str, saver: ImageSaver | None) -> ImageFacts | ErrorResponse:
    """Returns errors, because several requests may raise them."""
    if url.startswith("data:"):
        try:
            media_type, data = decode_data_url(url)
            if saver is not None:
                saver.save(data, media_type)
            return read_facts(data)
        except NotBase64:
            return ErrorResponse(501, "Only base64 data URLs are supported for now.")
        except UnreadableImage as error:
            return bad_request_error(str(error), code="invalid_image_format")
        except OSError as error:
            return ErrorResponse(500, f"The simulator can't keep a picture: {error.strerror or error}.")
    if url.startswith("file:"):
        return ErrorResponse(500, "Cannot load local files without `--allowed-local-media-path`.")
    if url.startswith(("http:", "https:")):
        return bad_request_error("This simulator fetches nothing; send pictures as data: URLs.")
    return bad_request_error("The URL must be either a HTTP, data or file URL.")
