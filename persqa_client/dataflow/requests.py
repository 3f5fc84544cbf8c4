"""Blocking client of DataFlow's servings. Requests run on the background event loop, so callers may have their own."""

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
from persqa_client.dataflow.cells import make_data_uri, resolve_references
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError, RunStopped
from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.images.loader import ImageCache
from persqa_client.limits.open_files import fit_open_files
from persqa_client.run.background import get_background_loop
from persqa_client.run.compose import IMAGE_THREADS, make_session
from persqa_client.types import Request, Turn

# LLaVA's mark for an image in a turn.
IMAGE_MARK = "<image>"
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
IMAGE_SCHEMES = ("data:image/", "file://")


@dataclass(frozen=True, slots=True)
class Prompt:
    """``images`` of later turns come last (see ``Turn.pictures``)."""

    system: str
    text: str
    images: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


def build_text_prompt(text: Any, images: Any, system: str) -> Prompt:
    """If there are no images, a text that is an image reference is the image, and ``system`` the question (DataFlow's
    operators).
    """
    if not isinstance(text, str):
        raise RowError("bad_prompt", f"a prompt must be text, not {type(text).__name__}")
    references = resolve_references(images, make_data_uri)
    if not references and is_image_reference(text):
        return Prompt("", system, (text.strip(),))
    return Prompt(system, remove_marks(text) if references else text, references)


def build_conversation_prompt(conversation: Any, images: Any, system: str) -> Prompt:
    """Each ``<image>`` mark takes the next image; images without a mark go to the first turn.

    Raises RowError unless the first and the last turn are the user's.
    """
    turns = [parse_turn(turn) for turn in conversation] if isinstance(conversation, list | tuple) else []
    system = "\n".join([system, *(turn.text for turn in turns if turn.role == "system")]).strip()
    turns = [turn for turn in turns if turn.role != "system"]
    if not turns or turns[0].role != "user" or turns[-1].role != "user":
        raise RowError("bad_conversation", "a conversation must begin and end with a turn of the user")
    references = resolve_references(images, make_data_uri)
    if references:
        turns = assign_images(turns, len(references))
    return Prompt(system, turns[0].text, references, tuple(turns[1:]))


def parse_turn(turn: Any) -> Turn:
    role = turn.get("role", turn.get("from")) if isinstance(turn, dict) else None
    text = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
    if not isinstance(role, str) or role not in ROLES or not isinstance(text, str):
        raise RowError("bad_conversation", "a turn must have 'from' and 'value', or 'role' and 'content', as text")
    return Turn(ROLES[role], text)


def assign_images(turns: Sequence[Turn], there: int) -> list[Turn]:
    """Removes the marks, and counts the images of each turn."""
    left, kept = there, []
    for turn in turns:
        taken = min(turn.text.count(IMAGE_MARK), left) if turn.role == "user" else 0
        left -= taken
        kept.append(replace(turn, text=remove_marks(turn.text), pictures=taken))
    return kept


def remove_marks(text: str) -> str:
    return text.replace(IMAGE_MARK, "").strip() if IMAGE_MARK in text else text


def is_image_reference(text: str) -> bool:
    """Whether a text is only an image reference; the image need not exist."""
    bare = text.strip()
    if bare.startswith(IMAGE_SCHEMES):
        return True
    return (
        "\n" not in bare
        and PurePath(bare).suffix.lower() in IMAGE_SUFFIXES
        and len(bare) < 4096
        and not looks_like_sentence(bare)
    )


def looks_like_sentence(text: str) -> bool:
    first, _, rest = text.partition(" ")
    return bool(rest) and "/" not in first and len(rest.split()) > 1


def item_at(values: Sequence[Any] | None, number: int) -> Any:
    return values[number] if values is not None and number < len(values) else None


PromptResult = str | RowError


class BlockingClient:
    """Sends prompts to one endpoint, with retries and limits. Larger images than ``max_pixels`` are scaled down."""

    def __init__(
        self, endpoint: Endpoint, sampling: Sampling, limits: Limits, *, max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> None:
        self.endpoint = endpoint
        self.sampling = sampling
        self.limits = limits
        self._shelf = ImageCache((Path(),), max_pixels=max_pixels, max_bytes=limits.image_cache_bytes)
        self._session: Session | None = None
        self._process = 0

    def ask(self, prompts: Sequence[Prompt | RowError]) -> list[PromptResult]:
        """An answer or an error per prompt.

        Raises RunStopped if the endpoint rejects all requests before any answer; afterwards the other prompts get that
        error.
        """
        answering = get_background_loop().submit(self._ask(prompts))
        try:
            return answering.result()
        except KeyboardInterrupt:
            answering.cancel()
            raise

    async def _ask(self, prompts: Sequence[Prompt | RowError]) -> list[PromptResult]:
        session, unasked = self._open(), RowError("unasked", "it was not asked")
        results: list[PromptResult] = [unasked] * len(prompts)
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
        results: list[PromptResult],
        stops: list[RunStopped],
    ) -> None:
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
        """A forked child opens its own session, because it lacks the parent's event loop."""
        if self._session is None or self._process != os.getpid():
            self._session = make_session(self.endpoint, self.sampling, fit_open_files(self.limits, 1))
            self._process = os.getpid()
            finalize(self, close_session_soon, self._session, asyncio.get_running_loop()).atexit = False
            close_at_exit(self)
        return self._session

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._process == os.getpid():
            get_background_loop().submit(session.aclose()).result()


OPEN_CLIENTS: WeakSet[BlockingClient] = WeakSet()
CLOSING_TASKS: set[asyncio.Task[None]] = set()


@cache
def register_exit_handler() -> None:
    # Registered after the background loop, so that it runs before that loop is closed.
    atexit.register(close_all)


def close_all() -> None:
    for client in list(OPEN_CLIENTS):
        client.close()


def close_at_exit(client: BlockingClient) -> None:
    OPEN_CLIENTS.add(client)
    register_exit_handler()


def close_session_soon(session: Session, loop: asyncio.AbstractEventLoop) -> None:
    """Closes the session of a garbage-collected client, from any thread."""

    def end() -> None:
        ending = loop.create_task(session.aclose())
        CLOSING_TASKS.add(ending)
        ending.add_done_callback(CLOSING_TASKS.discard)

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(end)
