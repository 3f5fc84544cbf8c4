"""Pictures that come again: a file that did not change is not read again, a picture is drawn anew once. Reads files.

What costs much is to decode and to encode (some 30 ms for a photo of 12 megapixels), so what was drawn anew is kept, by
its content. A picture that goes out as its own bytes is found again as long as somebody holds it and no longer: to read
it costs less than a digest of it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import orjson

from persqa_client.images.prepare import Redraw, load_image, ready, redrawn
from persqa_client.images.references import FileState, file_state
from persqa_client.types import EncodedImage

# Reads a file without waiting for a disk: at once where the system has it in memory, else it is asked to fetch it.
#
# To hand a picture to a thread and back costs more than all else about one that goes out as its own bytes.

AT_ONCE = 1_000_000
"""Bytes; what is larger would keep an event loop for a millisecond or more while it is read and looked through."""


class NotCached(Exception):
    """Not in memory, or not all of it; it is being fetched."""


class CanNotTell(Exception):
    """This system, or the file system that the file is on, does not say what it has in memory."""


def read_cached(path: str, size: int) -> bytes | None:
    """All of a regular file that has ``size`` bytes; None where it has not, can't be opened or is larger than AT_ONCE.

    Raises NotCached and CanNotTell. A page that goes in the very moment between look and reading is waited for.
    """
    if not 0 < size <= AT_ONCE:
        return None
    if not hasattr(os, "RWF_NOWAIT"):
        raise CanNotTell
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not is_cached(file, size):
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
                raise NotCached
            data = os.read(file, size + 1)
        finally:
            os.close(file)
    except OSError:
        return None
    return data if len(data) == size else None


def is_cached(file: int, size: int) -> bool:
    """Whether the first, the middle and the last byte can be read at once; files are fetched in one go, so all can.

    Raises CanNotTell.
    """
    byte = bytearray(1)
    try:
        for at in (size - 1, size // 2, 0):
            os.preadv(file, [byte], at, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CanNotTell from error
    return True


# The uuid under which a picture may be sent more than once: a digest of all that goes over the wire for it. Pure.

SETTINGS = ("mm_processor_kwargs", "media_io_kwargs")
"""Request fields that change what a server makes of the same bytes."""


def add_image_uuid(picture: EncodedImage, fields: Mapping[str, Any]) -> EncodedImage:
    """The picture with its uuid: the same for the same bytes, type and settings, in every run.

    ``fields`` are a person's own request fields. A server shows the first picture of a uuid whatever comes under it
    later, so the digest is one for which nobody can make a second picture.
    """
    settings = {field: fields[field] for field in SETTINGS if fields.get(field)}
    digest = sha256(orjson.dumps([picture.media_type, settings], option=orjson.OPT_SORT_KEYS))
    digest.update(picture.data)
    return replace(picture, uuid=f"persqa-{digest.hexdigest()}")


class ImageCache:
    """Loads pictures; what was drawn anew stays, up to ``bound`` bytes, the longest unused going first.

    Threads may use it at once: what two of them want drawn is drawn by one, and the other waits. An error is not kept:
    it is found again soon enough, and tells the name of the file that it was found in.
    """

    def __init__(self, roots: Sequence[Path], *, max_pixels: int, bound: int, redraw: Redraw = redrawn) -> None:
        self._roots = roots
        self._max_pixels = max_pixels
        self._redraw = redraw
        self._bound = bound
        self._lock = threading.Lock()
        self._by_file: WeakValueDictionary[FileState, EncodedImage] = WeakValueDictionary()
        self._drawn: OrderedDict[bytes, EncodedImage] = OrderedDict()
        self._keys: dict[int, bytes] = {}
        """Of the pictures that are kept, by their identity."""
        self._drawing: dict[bytes, Future[EncodedImage]] = {}
        self._mute: set[int] = set()
        """Devices whose file systems don't say what they have in memory, such as one behind a network."""
        self.held = 0
        """Bytes of the pictures that are kept."""

    def at_hand(self, reference: str) -> EncodedImage | None:
        """The picture, where neither a disk nor a decoder is needed; else None, and whatever else is wrong with it is
        ``load``'s to tell. Raises NotCached where only the disk is. Does not block."""
        state = file_state(reference, self._roots)
        if state is None:
            return None
        if (picture := self._by_file.get(state)) is not None:
            self._used(picture)
            return picture
        if state.device in self._mute:
            return None
        try:
            data = read_cached(state.path, state.size)
        except CanNotTell:
            self._mute.add(state.device)
            return None
        picture = None if data is None else ready(data, self._max_pixels)
        if picture is not None:
            self._by_file[state] = picture
        return picture

    def load(self, reference: str) -> EncodedImage:
        """The picture as load_picture gives it, with its errors. Blocks."""
        state = file_state(reference, self._roots)
        if state is not None and (found := self._by_file.get(state)) is not None:
            self._used(found)
            return found
        picture = load_image(reference, self._roots, max_pixels=self._max_pixels, redraw=self._redraw_once)
        if state is not None:
            self._by_file[state] = picture
        return picture

    def _used(self, picture: EncodedImage) -> None:
        with self._lock:
            if (key := self._keys.get(id(picture))) is not None:
                self._drawn.move_to_end(key)

    def _redraw_once(self, data: bytes, format: str, orientation: int, max_pixels: int, name: str) -> EncodedImage:
        key = blake2b(data, digest_size=16, salt=bytes([orientation])).digest()
        while True:
            with self._lock:
                if (kept := self._drawn.get(key)) is not None:
                    self._drawn.move_to_end(key)
                    return kept
                if (other := self._drawing.get(key)) is None:
                    mine = self._drawing[key] = Future[EncodedImage]()
                    break
            if other.exception() is None:
                return other.result()
        return self._draw(key, mine, lambda: self._redraw(data, format, orientation, max_pixels, name))

    def _draw(self, key: bytes, mine: Future[EncodedImage], draw: Callable[[], EncodedImage]) -> EncodedImage:
        try:
            picture = draw()
        except BaseException as error:
            with self._lock:
                del self._drawing[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._drawing[key]
            self._keep(key, picture)
        mine.set_result(picture)
        return picture

    def _keep(self, key: bytes, picture: EncodedImage) -> None:
        self._drawn[key] = picture
        self._keys[id(picture)] = key
        self.held += len(picture.data)
        while self.held > self._bound:
            _, oldest = self._drawn.popitem(last=False)
            del self._keys[id(oldest)]
            self.held -= len(oldest.data)


# From a reference to a picture without keeping the event loop: at once where that takes no time, else in a thread.

FETCHING = (0.003, 0.01)
"""Seconds that a disk gets to fetch a file, before a thread waits for it."""

Name = Callable[[EncodedImage], EncodedImage]
"""Gives a picture its uuid: a digest, which takes longer than all else."""


class ImagePreparer:
    """Prepares pictures for the requests of one event loop; see ``sharing.Prepare``."""

    def __init__(self, shelf: ImageCache, threads: Executor, name: Name) -> None:
        self._shelf = shelf
        self._threads = threads
        self._name = name

    async def __call__(self, reference: str, *, named: bool = False) -> EncodedImage:
        """Raises RowError."""
        picture = None if named else await self._at_once(reference)
        if picture is not None:
            return picture
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(self._blocking, reference, named=named))

    async def _at_once(self, reference: str) -> EncodedImage | None:
        for wait in FETCHING:
            try:
                return self._shelf.at_hand(reference)
            except NotCached:
                await asyncio.sleep(wait)
        return None

    def _blocking(self, reference: str, *, named: bool) -> EncodedImage:
        picture = self._shelf.load(reference)
        return self._name(picture) if named else picture


# Pictures that several questions are asked about: prepared once and held once while any of them is under way. Waits,
# nothing else.

REMEMBERED = 65_536
"""References; of older ones is forgotten that they came before."""


class Prepare(Protocol):
    async def __call__(self, reference: str, *, named: bool = False) -> EncodedImage:
        """The picture, with its uuid if ``named``. Raises RowError."""
        ...


class ImageLoader:
    """Loads pictures, and gives a uuid to those that are sent again: to all of them (``always``), or else to those
    that come again (``repeats``). A digest costs more than all else about a picture, so none is made in vain.
    """

    def __init__(self, prepare: Prepare, *, always: bool, repeats: bool) -> None:
        self._prepare = prepare
        self._always = always
        self._repeats = repeats
        self._held: WeakValueDictionary[str, EncodedImage] = WeakValueDictionary()
        self._coming: dict[str, asyncio.Task[EncodedImage]] = {}
        self._seen: dict[int, None] = {}

    async def load(self, reference: str) -> EncodedImage:
        """Raises RowError, as for a picture that is loaded alone."""
        if self._always or (self._repeats and self._again(reference)):
            return self._held.get(reference) or await self._share(reference)
        return await self._prepare(reference)

    def _again(self, reference: str) -> bool:
        """Whether it came before. Of a reference, which may be a picture itself, only the hash is kept: two that have
        the same cost a digest too many."""
        key = hash(reference)
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    async def _share(self, reference: str) -> EncodedImage:
        if (task := self._coming.get(reference)) is None:
            task = asyncio.create_task(self._prepare(reference, named=True))
            self._coming[reference] = task
            task.add_done_callback(lambda done: self._came(reference, done))
        # Shielded, because another question may wait for the same picture when this one is cancelled.
        return await asyncio.shield(task)

    def _came(self, reference: str, task: asyncio.Task[EncodedImage]) -> None:
        del self._coming[reference]
        if not task.cancelled() and task.exception() is None:
            self._held[reference] = task.result()
