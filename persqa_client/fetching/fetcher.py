"""Downloads the pictures of rows into the folder of the run, from the web and from object stores: each once, with
retries, checked to be pictures.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import aiohttp

from persqa_client.errors import RowError, StorageError
from persqa_client.fetching.downloads import Downloader, FailedAttempt, open_session
from persqa_client.fetching.policy import AllowedHosts, FetchLimits
from persqa_client.fetching.stored_pictures import PARTS, AllowedStores, StoredPictureReader
from persqa_client.images.fetched_files import find_fetched, is_fetchable, is_web_url, name_fetched
from persqa_client.images.loader import LoadImage
from persqa_client.images.prepare import check_picture_data
from persqa_client.images.references import DATA_URI, NamedErrors, list_candidates
from persqa_client.stores.paths import has_store, is_object_url
from persqa_client.types import BoxMark, LoadedImage

Sleep = Callable[[float], Awaitable[None]]
NO_STORES = AllowedStores()
# Seconds after which a download in progress was left by a run that was killed.
OLD_PART = 3600.0


class PictureFetcher:
    """Belongs to one event loop, in which it opens its connections when the first picture is asked for.

    ``folder``: where the pictures are stored; ``roots``: where they may be already, the folder among them. ``threads``
    check them.
    """

    def __init__(
        self,
        folder: Path,
        roots: Sequence[Path],
        threads: Executor,
        *,
        allowed: AllowedHosts,
        limits: FetchLimits,
        stores: AllowedStores = NO_STORES,
        web: bool = True,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``web``: whether pictures are downloaded from the web, too; otherwise those are left to the reader, which
        refuses them.
        """
        self._folder = folder
        self._roots = roots
        self._threads = threads
        self._allowed = allowed
        self._limits = limits
        self._stores = stores
        self._web = web
        self._has_stored_roots = has_store(roots)
        self._stored: StoredPictureReader | None = None
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._downloader: Downloader | None = None
        self._running: dict[str, asyncio.Task[RowError | None]] = {}
        self._is_tidy = False

    async def fetch(self, reference: str) -> None:
        """Does nothing for what is neither a URL nor below a root in an object store, and for a picture that is there.

        Raises RowError (the codes are in README.md and in that of images), and StorageError if the folder can't be
        written.
        """
        if is_fetchable(reference):
            if self._web or not is_web_url(reference):
                await self._fetch_url(reference)
        elif self._has_stored_roots and not DATA_URI.match(reference):
            await self._fetch_below_roots(reference)

    async def _fetch_below_roots(self, path: str) -> None:
        """Downloads the picture from the first root that has it."""
        missing: RowError | None = None
        for url in list_urls_before_file(list_candidates(path, self._roots)):
            if url is None:
                return
            try:
                await self._fetch_url(url)
            except RowError as error:
                if error.code != "fetch_missing":
                    raise
                missing = missing or error
            else:
                return
        if missing is not None:
            raise missing.fresh()

    async def _fetch_url(self, reference: str) -> None:
        is_stored = not is_web_url(reference)
        if is_stored and self._stores.includes(reference):
            await self._open_stores().find_version(reference)
        if find_fetched(reference, self._roots) is not None:
            return
        if is_stored:
            with NamedErrors(reference):
                self._stores.check(reference)
        task = self._running.get(reference)
        if task is None:
            task = self._running[reference] = asyncio.create_task(self._fetch_named(reference))
            task.add_done_callback(lambda _: self._running.pop(reference, None))
        # Shielded: other rows may wait for the same picture if this one is cancelled.
        error = await asyncio.shield(task)
        if error is not None:
            raise error.fresh()

    async def _fetch_named(self, reference: str) -> RowError | None:
        """Returns errors of rows, because several rows may raise them."""
        try:
            with NamedErrors(reference):
                await self._fetch_new(reference)
        except RowError as error:
            return error
        return None

    async def _fetch_new(self, reference: str) -> None:
        if not self._is_tidy:
            self._is_tidy = True
            remove_old_parts(self._folder / PARTS, time.time() - OLD_PART - self._limits.timeout)
        part = PartFile(self._folder / name_fetched(reference), self._folder / PARTS)
        try:
            await self._download(reference, part)
            await asyncio.get_running_loop().run_in_executor(self._threads, part.check_and_keep, reference)
        finally:
            part.discard()

    async def _download(self, reference: str, part: PartFile) -> None:
        """Raises RowError."""
        downloader = self._open() if is_web_url(reference) else self._open_stores()
        for attempt in range(1, self._limits.attempts + 1):
            part.begin()
            try:
                return await downloader.download(reference, part.write)
            except FailedAttempt as failure:
                wait = choose_wait(attempt, failure.retry_after, self._limits)
                if attempt == self._limits.attempts or wait is None:
                    raise failure.error from failure
            await self._sleep(wait)
        return None

    def _open(self) -> Downloader:
        if self._downloader is None:
            self._session = open_session(self._allowed, self._limits)
            self._downloader = Downloader(self._session, self._allowed, self._limits)
        return self._downloader

    def _open_stores(self) -> StoredPictureReader:
        if self._stored is None:
            self._stored = StoredPictureReader(self._limits, self._folder, self._stores)
        return self._stored

    async def aclose(self) -> None:
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._stored is not None:
            await self._stored.aclose()
        if self._session is not None:
            await self._session.close()
            self._session = self._downloader = None


def list_urls_before_file(candidates: Sequence[str]) -> Iterator[str | None]:
    """The URLs in object stores, up to the first file on this machine, which is None and the last."""
    for candidate in candidates:
        if is_object_url(candidate):
            yield candidate
        elif os.path.lexists(candidate):
            yield None
            return


def choose_wait(attempt: int, retry_after: float | None, limits: FetchLimits) -> float | None:
    """Seconds before the next attempt. None if the server wants a longer wait than a row is kept for."""
    if retry_after is not None:
        return retry_after if retry_after <= limits.longest_wait else None
    longest = min(limits.longest_wait, limits.first_wait * 2.0 ** (attempt - 1))
    return random.uniform(longest / 2, longest)


class PartFile:
    """A download in progress. Its errors are StorageErrors, unlike those of the network."""

    def __init__(self, target: Path, folder: Path) -> None:
        self._target = target
        self._path = folder / f"{target.name}.{secrets.token_hex(4)}"
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        """Also of a further attempt, which begins anew. The file is opened with the first bytes: most of a run's
        downloads wait for a connection.
        """
        self.close()
        with storage_errors(self._target):
            self._path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        with storage_errors(self._target):
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("wb")
            self._file.write(piece)

    def close(self) -> None:
        if self._file is not None:
            with storage_errors(self._target):
                self._file.close()
            self._file = None

    def check_and_keep(self, reference: str) -> None:
        """Blocks. Raises RowError like ``read_image`` for what is no picture; that is downloaded again next time."""
        self.close()
        with storage_errors(self._target):
            data = self._path.read_bytes() if self._path.exists() else b""
        if not data:
            raise RowError("image_empty", "is empty; provide a file with content.")
        check_picture_data(reference, data)
        with storage_errors(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(self._target)

    def discard(self) -> None:
        with suppress(StorageError):
            self.close()
        with suppress(OSError):
            self._path.unlink()


def remove_old_parts(folder: Path, before: float) -> None:
    """Those not written to since this time. Other runs may be downloading into the folder."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            with suppress(OSError):
                if entry.stat().st_mtime < before:
                    os.unlink(entry.path)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"The downloaded picture {path} can't be written: {reason}.") from error


def add_fetching(load: LoadImage, fetcher: PictureFetcher) -> LoadImage:
    """``load``, after the picture is downloaded."""

    async def load_fetched(reference: str, mark: BoxMark | None = None) -> LoadedImage:
        await fetcher.fetch(reference)
        return await load(reference, mark)

    return load_fetched
