"""Pictures that come again: a file that did not change is not read again, a picture is drawn anew once. Reads files.

What costs much is to decode and to encode (some 30 ms for a photo of 12 megapixels), so what was drawn anew is kept, by
its content. A picture that goes out as its own bytes is found again as long as somebody holds it and no longer: to read
it costs less than a digest of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from pathlib import Path
from weakref import WeakValueDictionary

from persqa_client.images.page_cache import CanNotTell, read_cached
from persqa_client.images.prepare import Redraw, load_picture, ready, redrawn
from persqa_client.images.references import FileState, file_state
from persqa_client.types import Picture


class PictureShelf:
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
        self._by_file: WeakValueDictionary[FileState, Picture] = WeakValueDictionary()
        self._drawn: OrderedDict[bytes, Picture] = OrderedDict()
        self._keys: dict[int, bytes] = {}
        """Of the pictures that are kept, by their identity."""
        self._drawing: dict[bytes, Future[Picture]] = {}
        self._mute: set[int] = set()
        """Devices whose file systems don't say what they have in memory, such as one behind a network."""
        self.held = 0
        """Bytes of the pictures that are kept."""

    def at_hand(self, reference: str) -> Picture | None:
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

    def load(self, reference: str) -> Picture:
        """The picture as load_picture gives it, with its errors. Blocks."""
        state = file_state(reference, self._roots)
        if state is not None and (found := self._by_file.get(state)) is not None:
            self._used(found)
            return found
        picture = load_picture(reference, self._roots, max_pixels=self._max_pixels, redraw=self._redraw_once)
        if state is not None:
            self._by_file[state] = picture
        return picture

    def _used(self, picture: Picture) -> None:
        with self._lock:
            if (key := self._keys.get(id(picture))) is not None:
                self._drawn.move_to_end(key)

    def _redraw_once(self, data: bytes, format: str, orientation: int, max_pixels: int, name: str) -> Picture:
        key = blake2b(data, digest_size=16, salt=bytes([orientation])).digest()
        while True:
            with self._lock:
                if (kept := self._drawn.get(key)) is not None:
                    self._drawn.move_to_end(key)
                    return kept
                if (other := self._drawing.get(key)) is None:
                    mine = self._drawing[key] = Future[Picture]()
                    break
            if other.exception() is None:
                return other.result()
        return self._draw(key, mine, lambda: self._redraw(data, format, orientation, max_pixels, name))

    def _draw(self, key: bytes, mine: Future[Picture], draw: Callable[[], Picture]) -> Picture:
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

    def _keep(self, key: bytes, picture: Picture) -> None:
        self._drawn[key] = picture
        self._keys[id(picture)] = key
        self.held += len(picture.data)
        while self.held > self._bound:
            _, oldest = self._drawn.popitem(last=False)
            del self._keys[id(oldest)]
            self.held -= len(oldest.data)
