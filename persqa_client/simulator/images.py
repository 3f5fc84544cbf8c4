"""The pictures that an endpoint has seen, each decoded once, in a few threads. Remembers facts, never pixels."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.simulator.error_responses import Refusal, bad_request
from persqa_client.simulator.lru import Memory
from persqa_client.simulator.prompt import Part
from persqa_client.simulator.vision import Facts, NotBase64, Unreadable, payload, see

# Keeps the pictures that arrive, byte for byte, so that a person sees what leaves their machine. Writes files.

MEDIA_TYPE = re.compile(r"image/([a-z0-9]{1,8})")
NUMBERED = re.compile(r"(\d+)\.\w+")


class Keeper:
    """Writes each distinct picture once, as NNNNN.ext, counting on from what the folder holds.

    Makes the folder; raises SettingsError where it can't be had. Safe to use from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numbered = (NUMBERED.fullmatch(path.name) for path in folder.iterdir())
            self.number = max((int(found[1]) for found in numbered if found), default=0)
        except OSError as error:
            raise SettingsError(f"--keep-pictures {folder} is no folder to write to: {error.strerror}.") from error
        self.seen: set[bytes] = set()
        self.lock = threading.Lock()

    def keep(self, data: bytes, media_type: str) -> None:
        """Raises OSError where the file can't be written; the picture then counts as not seen."""
        digest = blake2b(data, digest_size=16).digest()
        with self.lock:
            if digest not in self.seen:
                with (self.folder / f"{self.number + 1:05}.{extension(media_type)}").open("xb") as file:
                    file.write(data)
                self.number += 1
                self.seen.add(digest)


def extension(media_type: str) -> str:
    """By the type that the sender declared, whether it is true or not."""
    found = MEDIA_TYPE.fullmatch(media_type.lower())
    return {"jpeg": "jpg"}.get(found[1], found[1]) if found else "bin"


THREADS = 2
"""Pillow lets go of the interpreter's lock while it decodes, so a second core can help."""


class Album:
    """Looks at the pictures of requests. ``size`` bounds what is remembered by content and, as many again, by uuid.

    A keeper is given each picture's bytes before they are looked at.
    """

    def __init__(self, size: int, keeper: Keeper | None = None) -> None:
        self.keeper = keeper
        self.by_content = Memory[int, Facts](size)
        self.by_uuid = Memory[str, Facts](size)
        self.under_way: dict[int, asyncio.Future[Facts | Refusal]] = {}
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="persqa-simulator")
        self.hits = 0

    async def facts(self, parts: Sequence[Part]) -> list[Facts]:
        """What the pictures show, in order. Raises Refusal at the first one that can't be read."""
        return [await self.one(part, index) for index, part in enumerate(parts)]

    async def one(self, part: Part, index: int) -> Facts:
        """A uuid that is known stands for its first picture, whatever bytes come with it later, as in vLLM's cache."""
        if part.uuid is not None:
            known = self.by_uuid.get(part.uuid)
            if known is not None:
                self.hits += 1
                return known
        if part.url is None:
            raise bad_request(f"Cache miss for image at index {index} but data is not provided.")
        found = await self.from_url(part.url)
        if part.uuid is not None:
            self.by_uuid.put(part.uuid, found)
        return found

    async def from_url(self, url: str) -> Facts:
        """Decode, or remember: the same text twice at once is decoded once."""
        key = hash(url)
        known = self.by_content.get(key)
        if known is not None:
            self.hits += 1
            return known
        future = self.under_way.get(key)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self.pool, read, url, self.keeper)
            self.under_way[key] = future
            future.add_done_callback(lambda _: self.under_way.pop(key, None))
        # Shielded, because another request may wait for the same picture when this one's client has gone.
        found = await asyncio.shield(future)
        if isinstance(found, Refusal):
            raise found
        self.by_content.put(key, found)
        return found

    def close(self) -> None:
        """Let the threads go; a picture being decoded is finished but not waited for."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def read(url: str, keeper: Keeper | None) -> Facts | Refusal:
    """Look at the picture of a URL; what can't be looked at is returned as the refusal that it means."""
    if url.startswith("data:"):
        try:
            media_type, data = payload(url)
            if keeper is not None:
                keeper.keep(data, media_type)
            return see(data)
        except NotBase64:
            return Refusal(501, "Only base64 data URLs are supported for now.")
        except Unreadable as error:
            return bad_request(str(error), code="invalid_image_format")
        except OSError as error:
            return Refusal(500, f"The simulator can't keep a picture: {error.strerror or error}.")
    if url.startswith("file:"):
        return Refusal(500, "Cannot load local files without `--allowed-local-media-path`.")
    if url.startswith(("http:", "https:")):
        return bad_request("This simulator fetches nothing; send pictures as data: URLs.")
    return bad_request("The URL must be either a HTTP, data or file URL.")
