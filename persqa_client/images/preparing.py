"""From a reference to a picture without keeping the event loop: at once where that takes no time, else in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from persqa_client.images.cache import PictureShelf
from persqa_client.images.page_cache import NotCached
from persqa_client.types import Picture

FETCHING = (0.003, 0.01)
"""Seconds that a disk gets to fetch a file, before a thread waits for it."""

Name = Callable[[Picture], Picture]
"""Gives a picture its uuid: a digest, which takes longer than all else."""


class Preparer:
    """Prepares pictures for the requests of one event loop; see ``sharing.Prepare``."""

    def __init__(self, shelf: PictureShelf, threads: Executor, name: Name) -> None:
        self._shelf = shelf
        self._threads = threads
        self._name = name

    async def __call__(self, reference: str, *, named: bool = False) -> Picture:
        """Raises RowError."""
        picture = None if named else await self._at_once(reference)
        if picture is not None:
            return picture
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(self._blocking, reference, named=named))

    async def _at_once(self, reference: str) -> Picture | None:
        for wait in FETCHING:
            try:
                return self._shelf.at_hand(reference)
            except NotCached:
                await asyncio.sleep(wait)
        return None

    def _blocking(self, reference: str, *, named: bool) -> Picture:
        picture = self._shelf.load(reference)
        return self._name(picture) if named else picture
