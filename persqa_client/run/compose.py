"""Builds a pipeline from the plan of a run, for the command, Python and DataFlow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import httpx2

from persqa_client.answers.phrases import describe_unchecked_language, find_unchecked_language
from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.fetching.fetcher import PictureFetcher, add_fetching
from persqa_client.fetching.policy import AllowedHosts
from persqa_client.fetching.stored_pictures import AllowedStores, list_stored_roots
from persqa_client.images.loader import ImageCache, ImageLoader, LoadImage
from persqa_client.images.tokens import ModelFamily, detect_model_family, make_token_counter
from persqa_client.limits.account_folder import AccountFolder
from persqa_client.limits.open_files import fit_open_files
from persqa_client.probing.capabilities import ServerCapabilities, list_warnings
from persqa_client.probing.probe import ProbeDepth, probe_all, resolve_common_strategy, shortest_context
from persqa_client.run.image_roots import AS_GIVEN, PathWriters
from persqa_client.run.pipeline import NoteImage, Pipeline, ignore_image
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.run.settings import RunSettings
from persqa_client.types import Strategy

# One thread per core, because Pillow releases the GIL; at least four, for slow disks.
IMAGE_THREADS = max(4, min(16, os.cpu_count() or 1))
# Model family by the side in pixels of one image token, as measured by the probe.
FAMILY_BY_PATCH: dict[int, ModelFamily] = {28: "qwen2.5-vl", 32: "qwen3-vl"}


def ignore_warning(warning: str) -> None:
    """Default for callers that show no warnings."""


class Composition(AbstractAsyncContextManager["Composition"]):
    """Call ``probe`` first, then ``make_pipeline`` and ``make_row_reader``. Belongs to one event loop.

    ``pool`` overrides the pool of the settings. ``warn`` is called with the warnings of a pool that is made here, for
    features that the probes could not show, and for languages whose phrases are not checked.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        pool: Pool | None = None,
        http_client: httpx2.AsyncClient | None = None,
        warn: Callable[[str], None] = ignore_warning,
        note_image: NoteImage = ignore_image,
    ) -> None:
        settings = plan.settings
        self.plan = plan
        self.settings = settings
        self._warn = warn
        self._note_image = note_image
        downloads = 0 if plan.fetched is None else settings.fetch_limits.connections
        self.pool = pool or make_pool(settings, http_client, warn, downloads)
        # Probed features of each server that was not left out; empty before the probe.
        self.servers: tuple[ServerCapabilities, ...] = ()
        self.server_urls: list[str] = []
        self.strategy: Strategy = "direct"
        # Warnings about the languages of the questions. They do not depend on the server.
        self.question_warnings: list[str] = []
        self._cache = ImageCache(
            plan.picture_roots, max_pixels=settings.recipe.max_pixels, max_bytes=settings.limits.image_cache_bytes
        )
        self._threads = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="image")
        self._fetcher = make_fetcher(plan, self._threads)

    async def probe(self, depth: ProbeDepth | None, *, uuid: bool, leaves_out: bool = False) -> None:
        """Probes the servers. ``depth`` None sends nothing and assumes no features. Raises RunStopped.

        ``uuid``: images may be sent by uuid, after a test unless the settings say ``on``. ``leaves_out``: a server that
        can't be used is left out, as one that becomes so later, unless it is the last one.
        """
        wanted = self.settings.recipe.strategy
        if depth is None:
            self.servers = (ServerCapabilities(),)
        else:
            tested = uuid and self.settings.uuid == "auto"
            leave_out = self.pool.leave_out if leaves_out else None
            self.servers = await probe_all(self.pool.sessions, wanted, depth, uuid=tested, leave_out=leave_out)
            self.server_urls = self.pool.usable_urls
            for warning in list_warnings(self.servers, self.server_urls):
                self._warn_once(warning, self.pool.warnings)  # a probe may be repeated
        if uuid and self.settings.uuid == "on":
            for session in self.pool.sessions:
                session.profile.dialect = replace(session.profile.dialect, sends_uuids=True)
        self.strategy = resolve_common_strategy(self.servers, wanted)

    def _note_question(self, question: str) -> None:
        language = find_unchecked_language(question)
        if language is not None:
            self._warn_once(describe_unchecked_language(language), self.question_warnings)

    def _warn_once(self, warning: str, earlier: list[str]) -> None:
        if warning not in earlier:
            earlier.append(warning)
            self._warn(warning)

    @property
    def share_images(self) -> bool:
        if self.settings.uuid != "auto":
            return self.settings.uuid == "on"
        return bool(self.servers) and all(server.uuid for server in self.servers)

    def make_row_reader(self, paths: PathWriters = AS_GIVEN) -> RowReader:
        return self.plan.make_row_reader(share_images=self.share_images, paths=paths)

    def make_pipeline(self) -> Pipeline:
        settings, share_images = self.settings, self.share_images
        loader = ImageLoader(
            self._cache,
            self._threads,
            settings.sampling.extra_body,
            share_all=settings.recipe.questions > 1,
            share_repeated=share_images,
            shared=() if self.plan.reference is None else (self.plan.reference,),
        )
        load: LoadImage = loader.load if self._fetcher is None else add_fetching(loader.load, self._fetcher)
        patches = (server.picture_patch for server in self.servers if server.picture_patch in FAMILY_BY_PATCH)
        patch = next(patches, None)
        family = FAMILY_BY_PATCH[patch] if patch else detect_model_family(settings.endpoint.model)
        return Pipeline(
            self.pool.completer,
            load,
            self.plan.make_task_maker(self.strategy),
            max_tokens=settings.sampling.max_tokens,
            context=shortest_context(self.servers),
            model_family=family,
            shared_reference=self.plan.reference,
            share_images=share_images,
            verify=settings.recipe.verify,
            note_question=self._note_question,
            note_image=self._note_image,
        )

    async def aclose(self) -> None:
        await self.pool.aclose()
        if self._fetcher is not None:
            await self._fetcher.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def make_pool(
    settings: RunSettings, http_client: httpx2.AsyncClient | None, warn: Callable[[str], None], downloads: int
) -> Pool:
    """``downloads``: of pictures, at the same time."""
    limits = fit_open_files(settings.limits, len(settings.endpoints), downloads=downloads)
    if limits.concurrency != settings.limits.concurrency:
        warn(
            f"--concurrency {settings.limits.concurrency} is lowered to {limits.concurrency}, because this process may "
            "not open more files (ulimit -n)."
        )
    if limits.share_limits is not None:
        AccountFolder(limits.share_limits).check()
    return Pool([make_session(one, settings.sampling, limits, http_client) for one in settings.endpoints], warn=warn)


def make_fetcher(plan: RunPlan, threads: Executor) -> PictureFetcher | None:
    """None if pictures are not downloaded."""
    if plan.fetched is None:
        return None
    settings = plan.settings
    places = list_stored_roots(plan.picture_roots) if settings.recipe.confine_images else None
    return PictureFetcher(
        plan.fetched.path,
        plan.picture_roots,
        threads,
        allowed=AllowedHosts.parse(settings.fetch_allow, local_only=settings.local_only),
        limits=settings.fetch_limits,
        stores=AllowedStores(plan.stores, settings.fetch and not settings.local_only, places),
        web=settings.fetch,
    )


def fetch_pictures(plan: RunPlan, references: Sequence[str]) -> None:
    """Outside of a run, and of an event loop. Does nothing if pictures are not downloaded. Raises RowError."""
    if plan.fetched is not None:
        asyncio.run(fetch_each(plan, references))


async def fetch_each(plan: RunPlan, references: Sequence[str]) -> None:
    with ThreadPoolExecutor(1) as threads:
        fetcher = make_fetcher(plan, threads)
        assert fetcher is not None
        try:
            for reference in references:
                await fetcher.fetch(reference)
        finally:
            await fetcher.aclose()


def make_session(
    endpoint: Endpoint, sampling: Sampling, limits: Limits, http_client: httpx2.AsyncClient | None = None
) -> Session:
    return Session(
        endpoint,
        sampling=sampling,
        limits=limits,
        http_client=http_client,
        image_tokens=make_token_counter(detect_model_family(endpoint.model)),
    )
