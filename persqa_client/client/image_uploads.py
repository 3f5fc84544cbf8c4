"""Sends each image once: vLLM caches images by uuid and then accepts the uuid without the image."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from cachetools import LRUCache

from persqa_client.limits.concurrency import ImageTokenLimit
from persqa_client.types import ErrorDecision, RetryAction

CACHE_SIZE = 16_384  # uuids; vLLM's own cache holds a few hundred images of a megapixel
MAX_MISSES = 2  # failed waits and cache misses until a request sends its images itself

# Failures that do not depend on the images.
NOT_ABOUT_IMAGES = frozenset(
    {RetryAction.WAIT, RetryAction.AWAIT_RECOVERY, RetryAction.STOP, RetryAction.ADAPT},
)


class ServerImageCache:
    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._uuids: LRUCache[str, None] = LRUCache(size)

    def find(self, uuids: Iterable[str]) -> frozenset[str]:
        found = frozenset(uuid for uuid in uuids if uuid in self._uuids)
        self.add(found)
        return found

    def add(self, uuids: Iterable[str]) -> None:
        for uuid in uuids:
            self._uuids[uuid] = None

    def discard(self, uuids: Iterable[str]) -> None:
        for uuid in uuids:
            self._uuids.pop(uuid, None)


class ImageUploads:
    def __init__(self, image_limit: ImageTokenLimit | None = None, cache_size: int = CACHE_SIZE) -> None:
        self.cache = ServerImageCache(cache_size)
        self.image_limit = image_limit or ImageTokenLimit()
        # Images being uploaded. The event is set when the upload has succeeded or failed.
        self.in_progress: dict[str, asyncio.Event] = {}
        self.images_sent = 0
        self.uuids_sent = 0  # instead of images
        self.cache_misses = 0  # uuids unknown to the server


class ImageUpload:
    """Decides for each attempt of a request which images it carries, and which it sends as uuids.

    Images of 0 tokens are exempt from the image limit.
    """

    __slots__ = (
        "_arrived",
        "_is_retry",
        "_misses",
        "_tokens_by_uuid",
        "_tokens_in_use",
        "_uploads",
        "carried",
        "has_waited",
        "known_uuids",
    )

    def __init__(self, uploads: ImageUploads, tokens_by_uuid: Mapping[str, int]) -> None:
        self._uploads = uploads
        self._tokens_by_uuid = tokens_by_uuid
        # uuids of the images that the attempt carries, until they have arrived. Other requests may wait for them.
        self.carried: frozenset[str] = frozenset()
        self._arrived: frozenset[str] = frozenset()
        self._tokens_in_use = 0
        self._is_retry = False
        self._misses = 0
        self.known_uuids: frozenset[str] = frozenset()  # images that the attempt need not carry
        self.has_waited = False  # for an image that another request carried

    def attempt(self, *, retry: bool) -> ImageUpload:
        """A context for one attempt. Waits while another request carries one of the images, and for the image limit,
        where retries come first.

        Enter it before acquiring a permit, so that waiting takes up none.
        """
        self._is_retry = retry
        return self

    async def __aenter__(self) -> None:
        if self._tokens_by_uuid:
            await self._wait_for_others()
            cache, in_progress = self._uploads.cache, self._uploads.in_progress
            uuids = self._tokens_by_uuid.keys()
            held = cache.find(uuids)
            self.known_uuids = held if self._misses < MAX_MISSES else frozenset()
            carried = frozenset(uuid for uuid in uuids if uuid not in held and uuid not in in_progress)
            await self._start(carried)

    async def __aexit__(self, *error: object) -> None:
        self._arrived = frozenset()
        self._end()

    async def _wait_for_others(self) -> None:
        # All images are registered together, so that requests cannot wait for each other in a cycle.
        in_progress = self._uploads.in_progress
        while self._misses < MAX_MISSES and (
            uuid := next(filter(in_progress.__contains__, self._tokens_by_uuid), None)
        ):
            self.has_waited = True
            await in_progress[uuid].wait()
            self._misses += not self._uploads.cache.find((uuid,))

    async def _start(self, carried: frozenset[str]) -> None:
        self.carried = carried
        for uuid in carried:
            self._uploads.in_progress[uuid] = asyncio.Event()
        if tokens := sum(self._tokens_by_uuid[uuid] for uuid in carried):
            try:
                await self._uploads.image_limit.acquire(tokens, retry=self._is_retry)
            except BaseException:
                self._end()
                raise
            self._tokens_in_use = tokens

    def mark_arrived(self) -> None:
        """Notes that the answer has begun, so that the server has the images."""
        self._arrived = self.carried
        self._uploads.cache.add(self._arrived)
        self._end()

    def _end(self) -> None:
        if self._tokens_in_use:
            self._uploads.image_limit.release(self._tokens_in_use)
            self._tokens_in_use = 0
        for uuid in self.carried:
            self._uploads.in_progress.pop(uuid).set()
        self.carried = frozenset()

    def count_sent(self, known_uuids: Collection[str]) -> None:
        self._uploads.uuids_sent += len(known_uuids)
        self._uploads.images_sent += len(self._tokens_by_uuid) - len(known_uuids)

    def record_answer(self) -> None:
        self._uploads.cache.add(self._tokens_by_uuid)

    def reclassify(self, decision: ErrorDecision, known_uuids: Collection[str]) -> ErrorDecision:
        """Adjusts the decision on a failed attempt that sent ``known_uuids`` without images.

        The server may have lost the images, so a rejection becomes RESEND.
        """
        self._uploads.cache.discard(self._arrived)
        if not known_uuids or (decision.status or 0) < 400 or decision.action in NOT_ABOUT_IMAGES:
            return decision
        self._uploads.cache_misses += len(known_uuids)
        self._uploads.cache.discard(known_uuids)
        self._misses += 1
        return replace(decision, action=RetryAction.RESEND) if decision.action is RetryAction.FAIL else decision
