"""Composes a pipeline from the settings of a run: the only place that does, for commands, Python and DataFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

import httpx2

from persqa_client.config import Endpoint, Limits, Sampling
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.images.cache import ImageCache
from persqa_client.images.loader import ImageLoader
from persqa_client.images.tokens import ModelFamily, detect_model_family, make_token_counter
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.probing.probe import ProbeDepth, probe_all, resolve_common_strategy, shortest_context
from persqa_client.run.pipeline import Pipeline
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.types import Strategy

# One thread per core, since Pillow releases the GIL; at least four, for slow disks.
IMAGE_THREADS = max(4, min(16, os.cpu_count() or 1))
# Rule for image tokens by the side of the square, in pixels, that a probe found to be one token.
FAMILY_BY_PATCH: dict[int, ModelFamily] = {28: "qwen2.5-vl", 32: "qwen3-vl"}


def ignore_warning(warning: str) -> None:
    """The default for callers that show no warnings."""


class Composition(AbstractAsyncContextManager["Composition"]):
    """Everything that answers rows: the endpoint pool, the image cache and its threads, and the pipeline over them.

    Call ``probe`` first, then ``make_pipeline`` and ``make_row_reader``. ``pool`` replaces the pool that the settings
    describe; ``warn`` is called when an endpoint is left out. Belongs to one event loop.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        pool: Pool | None = None,
        http_client: httpx2.AsyncClient | None = None,
        warn: Callable[[str], None] = ignore_warning,
    ) -> None:
        settings = plan.settings
        self.plan = plan
        self.settings = settings
        self.pool = pool or Pool(
            [make_session(one, settings.sampling, settings.limits, http_client) for one in settings.endpoints],
            warn=warn,
        )
        # What the servers support, in the order of the endpoints; empty before the probe.
        self.servers: tuple[ServerCapabilities, ...] = ()
        self.strategy: Strategy = "direct"
        self._cache = ImageCache(
            plan.image_roots, max_pixels=settings.recipe.max_pixels, max_bytes=settings.limits.image_cache_bytes
        )
        self._threads = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="image")

    async def probe(self, depth: ProbeDepth | None, *, uuid: bool) -> None:
        """Finds out what the servers support. ``depth`` None sends nothing and assumes no features.

        ``uuid``: whether to find out if images can be sent by uuid. Raises RunStopped if a server is unusable.
        """
        wanted = self.settings.recipe.strategy
        if depth is None:
            self.servers = (ServerCapabilities(),)
        else:
            self.servers = await probe_all(self.pool.sessions, wanted, depth, uuid=uuid)
        self.strategy = resolve_common_strategy(self.servers, wanted)

    @property
    def share_images(self) -> bool:
        """Whether all servers cache images by uuid, so that each image is sent once."""
        return self.settings.uuid and bool(self.servers) and all(server.uuid for server in self.servers)

    def make_row_reader(self) -> RowReader:
        return self.plan.make_row_reader(share_images=self.share_images)

    def make_pipeline(self) -> Pipeline:
        settings, share_images = self.settings, self.share_images
        loader = ImageLoader(
            self._cache,
            self._threads,
            settings.sampling.extra_body,
            share_all=settings.recipe.questions > 1,
            share_repeated=share_images,
        )
        patches = (server.picture_patch for server in self.servers if server.picture_patch in FAMILY_BY_PATCH)
        patch = next(patches, None)
        family = FAMILY_BY_PATCH[patch] if patch else detect_model_family(settings.endpoint.model)
        return Pipeline(
            self.pool.completer,
            loader.load,
            self.plan.make_task_maker(self.strategy),
            max_tokens=settings.sampling.max_tokens,
            context=shortest_context(self.servers),
            model_family=family,
            share_images=share_images,
        )

    async def aclose(self) -> None:
        await self.pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def make_session(
    endpoint: Endpoint, sampling: Sampling, limits: Limits, http_client: httpx2.AsyncClient | None = None
) -> Session:
    return Session(
        endpoint,
        sampling=sampling,
        limits=limits,
        http_client=http_client,
        image_tokens=make_token_counter(endpoint.model),
    )
