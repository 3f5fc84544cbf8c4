"""Pictures that several questions are asked about: prepared once and held once while any of them is under way. Waits,
nothing else."""

from __future__ import annotations

import asyncio
from typing import Protocol
from weakref import WeakValueDictionary

from persqa_client.types import Picture

REMEMBERED = 65_536
"""References; of older ones is forgotten that they came before."""


class Prepare(Protocol):
    async def __call__(self, reference: str, *, named: bool = False) -> Picture:
        """The picture, with its uuid if ``named``. Raises RowError."""
        ...


class Sharing:
    """Loads pictures, and gives a uuid to those that are sent again: to all of them (``always``), or else to those
    that come again (``repeats``). A digest costs more than all else about a picture, so none is made in vain.
    """

    def __init__(self, prepare: Prepare, *, always: bool, repeats: bool) -> None:
        self._prepare = prepare
        self._always = always
        self._repeats = repeats
        self._held: WeakValueDictionary[str, Picture] = WeakValueDictionary()
        self._coming: dict[str, asyncio.Task[Picture]] = {}
        self._seen: dict[int, None] = {}

    async def load(self, reference: str) -> Picture:
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

    async def _share(self, reference: str) -> Picture:
        if (task := self._coming.get(reference)) is None:
            task = asyncio.create_task(self._prepare(reference, named=True))
            self._coming[reference] = task
            task.add_done_callback(lambda done: self._came(reference, done))
        # Shielded, because another question may wait for the same picture when this one is cancelled.
        return await asyncio.shield(task)

    def _came(self, reference: str, task: asyncio.Task[Picture]) -> None:
        del self._coming[reference]
        if not task.cancelled() and task.exception() is None:
            self._held[reference] = task.result()
