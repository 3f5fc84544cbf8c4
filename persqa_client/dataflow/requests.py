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
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any
from weakref import WeakSet, finalize

from persqa_client.config import DEFAULT_MAX_PIXELS, Endpoint, Limits, Sampling
from persqa_client.dataflow.cells import data_uri, references_of
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError, RunStopped
from persqa_client.images.cache import ImageCache
from persqa_client.run.background import get_portal
from persqa_client.run.compose import IMAGE_THREADS, make_session
from persqa_client.types import Request, Turn

# From DataFlow's ways of asking to requests: texts, conversations of two layouts, pictures with or without marks.
#
# Pure.

MARK = "<image>"
"""Where a picture belongs to a turn, in the layout of LLaVA; other marks of that kind stand for what can't be sent."""
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
SCHEMES = ("data:image/", "file://")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request of a serving: ``images`` are references, those of the later turns last (``Turn.pictures``)."""

    system: str
    text: str
    images: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


def prompt_of_text(text: Any, images: Any, system: str) -> Prompt:
    """A text with its pictures. Where no pictures are given and the text names one, it is the picture, and the system
    prompt is what is asked about it: so DataFlow's own operators call a serving."""
    if not isinstance(text, str):
        raise RowError("bad_prompt", f"a prompt must be text, not {type(text).__name__}")
    references = references_of(images, data_uri)
    if not references and names_picture(text):
        return Prompt("", system, (text.strip(),))
    return Prompt(system, unmarked(text) if references else text, references)


def prompt_of_conversation(conversation: Any, images: Any, system: str) -> Prompt:
    """A conversation of ``from``/``value`` or ``role``/``content`` turns.

    A turn has as many of the pictures as it has marks, before its text; those without a mark stand before the first.
    Raises RowError where it is no conversation that ends with a question.
    """
    turns = [read_turn(turn) for turn in conversation] if isinstance(conversation, list | tuple) else []
    system = "\n".join([system, *(turn.text for turn in turns if turn.role == "system")]).strip()
    turns = [turn for turn in turns if turn.role != "system"]
    if not turns or turns[0].role != "user" or turns[-1].role != "user":
        raise RowError("bad_conversation", "a conversation must begin and end with a turn of the user's")
    references = references_of(images, data_uri)
    if references:
        turns = with_pictures(turns, len(references))
    return Prompt(system, turns[0].text, references, tuple(turns[1:]))


def read_turn(turn: Any) -> Turn:
    role = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
    text = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
    if not isinstance(role, str) or role not in ROLES or not isinstance(text, str):
        raise RowError("bad_conversation", "a turn must have 'from' and 'value', or 'role' and 'content', as text")
    return Turn(ROLES[role], text)


def with_pictures(turns: Sequence[Turn], there: int) -> list[Turn]:
    """The turns without their marks, each with the number of pictures that belong to it."""
    left, told = there, []
    for turn in turns:
        taken = min(turn.text.count(MARK), left) if turn.role == "user" else 0
        left -= taken
        told.append(replace(turn, text=unmarked(turn.text), pictures=taken))
    return told


def unmarked(text: str) -> str:
    return text.replace(MARK, "").strip() if MARK in text else text


def names_picture(text: str) -> bool:
    """Whether a prompt is nothing but a reference to a picture, whether that is there or not."""
    bare = text.strip()
    if bare.startswith(SCHEMES):
        return True
    return "\n" not in bare and PurePath(bare).suffix.lower() in SUFFIXES and len(bare) < 4096 and not is_sentence(bare)


def is_sentence(text: str) -> bool:
    """A text that speaks of a file: several words, with no slash before the second of them."""
    first, _, rest = text.partition(" ")
    return bool(rest) and "/" not in first and len(rest.split()) > 1


def beside(values: Sequence[Any] | None, number: int) -> Any:
    """What a list of pictures has for an input; None where it is shorter, or there is none."""
    return values[number] if values is not None and number < len(values) else None


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
        self._shelf = ImageCache((Path(),), max_pixels=max_pixels, bound=limits.image_cache_bytes)
        self._session: Session | None = None
        self._process = 0

    def ask(self, prompts: Sequence[Prompt | RowError]) -> list[Told]:
        """An answer or an error for each, in order; what is an error already stays one.

        Raises RunStopped where the endpoint refuses all. Where some were answered before, they are given, and the
        others have the refusal as their error: an answer that was paid for is not thrown away.
        """
        answering = get_portal().start_task_soon(self._ask, prompts)
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
        with ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="picture") as threads:
            at_once = min(len(prompts), self.limits.concurrency_cap)
            await asyncio.gather(*(self._work(session, threads, left, results, stops) for _ in range(at_once)))
        if stops:
            session.outage.reset()
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
            self._session = make_session(self.endpoint, self.sampling, self.limits)
            self._process = os.getpid()
            finalize(self, dismiss, self._session, asyncio.get_running_loop()).atexit = False
            remember(self)
        return self._session

    def close(self) -> None:
        """Ends the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None and self._process == os.getpid():
            get_portal().call(session.aclose)


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
