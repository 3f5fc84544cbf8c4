"""Requests of a synchronous caller, many at once on the background loop, under one set of limits. Talks to an endpoint.

The caller may have an event loop of its own, or none: its thread waits, and the loop that works is another one.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from weakref import WeakSet, finalize

from persqa_client.config import DEFAULT_MAX_PIXELS, Endpoint, Limits, Sampling
from persqa_client.dataflow.conversations import Prompt
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError, RunStopped
from persqa_client.images.cache import PictureShelf
from persqa_client.run.background import portal
from persqa_client.run.compose import picture_tokens
from persqa_client.run.run import PICTURE_THREADS
from persqa_client.types import Request

Told = str | RowError
"""What came of a prompt: the answer, or why there is none."""


class Talk:
    """Asks one endpoint, with the client's retries and limits. ``max_pixels``: larger pictures are reduced first."""

    def __init__(
        self, endpoint: Endpoint, sampling: Sampling, limits: Limits, *, max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> None:
        self.endpoint = endpoint
        self.sampling = sampling
        self.limits = limits
        self._shelf = PictureShelf((Path(),), max_pixels=max_pixels, bound=limits.shelf_bytes)
        self._session: Session | None = None
        self._process = 0

    def ask(self, prompts: Sequence[Prompt | RowError]) -> list[Told]:
        """An answer or an error for each, in order; what is an error already stays one.

        Raises RunStopped where the endpoint refuses all. Where some were answered before, they are given, and the
        others have the refusal as their error: an answer that was paid for is not thrown away.
        """
        answering = portal().start_task_soon(self._ask, prompts)
        try:
            return answering.result()
        except KeyboardInterrupt:
            answering.cancel()
            raise

    async def _ask(self, prompts: Sequence[Prompt | RowError]) -> list[Told]:
        session, unasked = self._open(), RowError("unasked", "it was not asked")
        results: list[Told] = [unasked] * len(prompts)
        left = iter(enumerate(prompts))
        stops: list[RunStopped] = []
        with ThreadPoolExecutor(PICTURE_THREADS, thread_name_prefix="picture") as threads:
            at_once = min(len(prompts), self.limits.most_at_once)
            await asyncio.gather(*(self._work(session, threads, left, results, stops) for _ in range(at_once)))
        if stops:
            session.outage.anew()
        if stops and not any(isinstance(result, str) for result in results):
            raise stops[0]
        if stops:
            refusal = RowError(stops[0].code, stops[0].message)
            results = [refusal if result is unasked else result for result in results]
        return results

    async def _work(
        self,
        session: Session,
        threads: ThreadPoolExecutor,
        left: Iterator[tuple[int, Prompt | RowError]],
        results: list[Told],
        stops: list[RunStopped],
    ) -> None:
        """One of many that take the next prompt as soon as they are done with one, until one is refused for all."""
        for number, prompt in left:
            if stops:
                return
            try:
                results[number] = await self._answer(session, threads, prompt)
            except RowError as error:
                results[number] = error
            except RunStopped as stop:
                stops.append(stop)

    async def _answer(self, session: Session, threads: ThreadPoolExecutor, prompt: Prompt | RowError) -> str:
        if isinstance(prompt, RowError):
            raise prompt
        loop = asyncio.get_running_loop()
        pictures = [await loop.run_in_executor(threads, self._shelf.load, image) for image in prompt.images]
        request = Request(prompt.system, tuple(pictures), prompt.text, self.sampling.seed, turns=prompt.turns)
        completion = (await session.complete(request)).completion
        if completion.refusal is not None and not completion.text:
            raise RowError("refusal", "the model refuses to answer", raw=completion.refusal)
        return completion.text

    def _open(self) -> Session:
        """The session; one of its own for a forked child, which has no loop of its parent's."""
        if self._session is None or self._process != os.getpid():
            tokens = picture_tokens(self.endpoint.model)
            self._session = Session(self.endpoint, sampling=self.sampling, limits=self.limits, picture_tokens=tokens)
            self._process = os.getpid()
            finalize(self, dismiss, self._session, asyncio.get_running_loop()).atexit = False
            remember(self)
        return self._session

    def close(self) -> None:
        """Ends the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None and self._process == os.getpid():
            portal().call(session.aclose)


OPEN: WeakSet[Talk] = WeakSet()
ENDING: set[asyncio.Task[None]] = set()


@cache
def end_at_exit() -> None:
    # Registered when the background loop is there, so it comes before that loop's own end.
    atexit.register(close_all)


def close_all() -> None:
    for talk in list(OPEN):
        talk.close()


def remember(talk: Talk) -> None:
    OPEN.add(talk)
    end_at_exit()


def dismiss(session: Session, loop: asyncio.AbstractEventLoop) -> None:
    """Ends the connections of a talk that nobody holds any more, from whatever thread that is found in."""

    def end() -> None:
        ending = loop.create_task(session.aclose())
        ENDING.add(ending)
        ending.add_done_callback(ENDING.discard)

    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(end)
