"""Which pictures an endpoint has under their uuids, as far as its answers tell, and who waits for one. Waits only."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from persqa_client.limits.concurrency import ImageTokenLimit
from persqa_client.types import ErrorDecision, RetryAction

REMEMBERED = 16_384
"""uuids at most, those used last; vLLM's own cache holds some hundreds of pictures of a megapixel."""
IN_VAIN = 2
"""So often may a request wait for nothing or name what is not there; then it carries its pictures itself."""

UNHEARD = frozenset({RetryAction.WAIT, RetryAction.AWAIT_RECOVERY, RetryAction.STOP, RetryAction.ADAPT})
"""What a request was refused for, whatever its pictures."""


class ServerImageCache:
    """What became of the pictures that were sent. Pure.

    A picture is there once the answer to a request that carried it has begun, and until the server says otherwise.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._there: dict[str, None] = {}
        self.coming: set[str] = set()
        """On their way: carried by a request whose answer has not begun."""

    def there(self, uuids: Iterable[str]) -> frozenset[str]:
        """Those of them that are there, which counts as a use."""
        found = frozenset(uuid for uuid in uuids if uuid in self._there)
        self._use(found)
        return found

    def send(self, uuids: Iterable[str]) -> frozenset[str]:
        """Takes those on their way that are neither there nor on it; gives them back."""
        taken = frozenset(uuid for uuid in uuids if uuid not in self._there and uuid not in self.coming)
        self.coming |= taken
        return taken

    def end(self, taken: Collection[str]) -> None:
        """What was taken is on its way no more, whether it arrived or not."""
        self.coming.difference_update(taken)

    def arrived(self, uuids: Iterable[str]) -> None:
        self._use(uuids)

    def lost(self, uuids: Iterable[str]) -> None:
        for uuid in uuids:
            self._there.pop(uuid, None)

    def _use(self, uuids: Iterable[str]) -> None:
        for uuid in uuids:
            self._there.pop(uuid, None)
            self._there[uuid] = None
        while len(self._there) > self._most:
            del self._there[next(iter(self._there))]


class ImageUploads:
    """The depot of one endpoint, and the requests that wait for a picture which another one carries."""

    def __init__(self, landing: ImageTokenLimit | None = None, most: int = REMEMBERED) -> None:
        self.depot = ServerImageCache(most)
        self.image_limit = landing or ImageTokenLimit()
        self.events: dict[str, asyncio.Event] = {}
        self.images_sent = 0
        """Pictures sent as bytes under a uuid, answered or not."""
        self.uuids_sent = 0
        """Pictures that went by their uuid alone."""
        self.cache_misses = 0
        """Of these, refused."""

    def for_request(self, weights: Mapping[str, int]) -> ImageUpload:
        """For one request with pictures of these uuids, over all its attempts. ``weights`` are their tokens; 0 for
        pictures of which is not heard before the answer's end that they are in."""
        return ImageUpload(self, weights)


class ImageUpload(AbstractAsyncContextManager["ImageUpload"]):
    """One attempt after the other of a request: whether it may go, and which of its pictures go by their uuid alone.

    The first request with a picture goes ahead with it, as far as there is room for its landing; others wait until it
    is in, or has failed. Without uuids nothing is waited for. To be entered before a slot is taken: who waits needs
    none.
    """

    __slots__ = (
        "_carried",
        "_landed",
        "_taken",
        "_uploads",
        "_uuids",
        "_vain",
        "_weights",
        "has_waited",
        "known_uuids",
        "retry",
    )

    def __init__(self, uploads: ImageUploads, weights: Mapping[str, int]) -> None:
        self._uploads = uploads
        self._weights = weights
        self._uuids = tuple(weights)
        self._carried: frozenset[str] = frozenset()
        self._landed: frozenset[str] = frozenset()
        self._taken = 0
        self.retry = False
        """Whether the attempt goes before what is new. For the caller to set."""
        self._vain = 0
        self.known_uuids: frozenset[str] = frozenset()
        """What the server has, and this attempt need not carry."""
        self.has_waited = False
        """Whether another request with the same picture went ahead of it."""

    async def __aenter__(self) -> ImageUpload:
        if self._uuids:
            await self._turn()
            depot = self._uploads.depot
            self.known_uuids = depot.there(self._uuids) if self._vain < IN_VAIN else frozenset()
            await self._board(depot.send(self._uuids))
        return self

    @property
    def carries_new_images(self) -> bool:
        """Whether others may be waiting for what this attempt carries."""
        return bool(self._carried)

    async def _board(self, carried: frozenset[str]) -> None:
        """Takes the room that pictures need on their way, of which others hear from now on."""
        self._carried = carried
        for uuid in carried:
            self._uploads.events[uuid] = asyncio.Event()
        tokens = sum(self._weights[uuid] for uuid in carried)
        if not tokens:
            return
        try:
            await self._uploads.image_limit.enter(tokens, retry=self.retry)
        except BaseException:
            self._end()
            raise
        self._taken = tokens

    async def _turn(self) -> None:
        """Waits while one of the pictures is on its way. All at once are taken then, so nobody waits in a circle."""
        depot, events = self._uploads.depot, self._uploads.events
        while self._vain < IN_VAIN and (coming := next(filter(depot.coming.__contains__, self._uuids), None)):
            self.has_waited = True
            await events[coming].wait()
            self._vain += coming not in depot.there((coming,))

    async def __aexit__(self, *error: object) -> None:
        self._landed = frozenset()
        self._end()

    def mark_arrived(self) -> None:
        """The answer has begun: what was carried is there, unless the attempt comes to nothing after all."""
        self._landed = self._carried
        self._uploads.depot.arrived(self._landed)
        self._end()

    def _end(self) -> None:
        """What was carried is on its way no more, whether it arrived or not."""
        if self._taken:
            self._uploads.image_limit.leave(self._taken)
            self._taken = 0
        self._uploads.depot.end(self._carried)
        for uuid in self._carried:
            self._uploads.events.pop(uuid).set()
        self._carried = frozenset()

    def count_sent(self, named: Collection[str]) -> None:
        """Counts what goes out; ``uuids_sent`` are the pictures that go by their uuid alone."""
        self._uploads.uuids_sent += len(named)
        self._uploads.images_sent += len(self._uuids) - len(named)

    def record_answer(self) -> None:
        """The attempt brought an answer: all its pictures are there."""
        if self._uuids:
            self._uploads.depot.arrived(self._uuids)

    def reclassify(self, verdict: ErrorDecision, named: Collection[str]) -> ErrorDecision:
        """What a failure of the attempt means where pictures went by name (``uuids_sent``): that they may not be there.

        No server's words are relied on: a refusal is the row's own only when it is repeated to the bytes. What was
        thought to have landed when the answer began may not be there either.
        """
        self._uploads.depot.lost(self._landed)
        if not named or (verdict.status or 0) < 400 or verdict.action in UNHEARD:
            return verdict
        self._uploads.cache_misses += len(named)
        self._uploads.depot.lost(named)
        self._vain += 1
        return replace(verdict, action=RetryAction.RESEND) if verdict.action is RetryAction.FAIL else verdict
