"""A serving that is not ours in the place of endpoints: rows that wait are asked together, call after call.

Calls the serving in a thread, and writes the pictures for it into a temporary folder, as they would go over the wire.
"""

from __future__ import annotations

import asyncio
import io
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from PIL import Image

from persqa_client.dataflow.foreign_serving import Given, Question, Refused, ask, way_of
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Reply
from persqa_client.errors import Interrupted, RowError
from persqa_client.types import Completion, Picture, Request

GATHER = 0.05
"""Seconds that a call waits for more rows; those whose pictures are at hand are there long before."""
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
"""What every serving of DataFlow's takes; other pictures are written as PNG."""


class Waiting(NamedTuple):
    question: Question
    answer: asyncio.Future[Given]


class ForeignPool(Pool):
    """Completes requests by a serving of DataFlow's, up to ``size`` in one call, and one call at a time.

    It stands where a run has its endpoints, and has none of its own. Raises SettingsError where the serving has no
    method for pictures.
    """

    def __init__(self, serving: Any, size: int) -> None:
        super().__init__([])
        self._serving = serving
        self._way = way_of(serving)
        self._size = size
        self._waiting: list[Waiting] = []
        self._asked = 0
        self._calls: asyncio.Task[None] | None = None
        self._closed = False
        self._numbers = count(1)
        self._folder: TemporaryDirectory[str] | None = None

    @property
    def completer(self) -> Pool:
        return self

    @property
    def slots(self) -> int:
        """Twice a call's size: the next one fills while one is under way."""
        return 2 * self._size

    @property
    def in_use(self) -> int:
        return len(self._waiting) + self._asked

    async def complete(self, request: Request) -> Reply:
        """Raises RowError where the serving gives no answer, Interrupted when the run is being stopped."""
        if self._closed:
            raise Interrupted
        self._folder = self._folder or TemporaryDirectory(prefix="persqa-")
        paths = await asyncio.to_thread(self._save, Path(self._folder.name), request.pictures)
        try:
            given = await self._answer(Question(request.system, request.prompt, tuple(map(str, paths)), request.turns))
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
        if isinstance(given, Refused):
            raise RowError("serving_failed", f"{type(self._serving).__name__}: {given}", raw=str(given), attempts=1)
        # Servings tell the text alone; that it came to its end must be believed.
        return Reply(Completion(given or "", "stop"), 1, constrained=False)

    async def _answer(self, question: Question) -> Given:
        waiting = Waiting(question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._calls is None or self._calls.done():
            self._calls = asyncio.create_task(self._call())
        return await waiting.answer

    async def _call(self) -> None:
        """Call after call while somebody waits."""
        while self._waiting:
            await self._gather()
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            self._asked = len(batch)
            answers = await asyncio.to_thread(ask, self._way, self._serving, [one.question for one in batch])
            self._asked = 0
            for one, answer in zip(batch, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)

    async def _gather(self) -> None:
        """Until a call is full, or no more come."""
        there = 0
        while there < len(self._waiting) < self._size:
            there = len(self._waiting)
            await asyncio.sleep(GATHER)

    def _save(self, folder: Path, pictures: tuple[Picture, ...]) -> list[Path]:
        paths = []
        for picture in pictures:
            path = folder / f"{next(self._numbers)}{SUFFIXES.get(picture.media_type, '.png')}"
            path.write_bytes(picture.data if picture.media_type in SUFFIXES else as_png(picture))
            paths.append(path)
        return paths

    def drain(self) -> None:
        """The call under way may finish; what waits is given back."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.answer.done():
                one.answer.set_exception(Interrupted())

    async def aclose(self) -> None:
        if self._calls is not None:
            await asyncio.gather(self._calls, return_exceptions=True)
        if self._folder is not None:
            self._folder.cleanup()


def as_png(picture: Picture) -> bytes:
    drawn = io.BytesIO()
    with Image.open(io.BytesIO(picture.data)) as image:
        image.save(drawn, "PNG")
    return drawn.getvalue()
