"""How many new pictures are on their way to a server at once. Waits, nothing else.

vLLM keeps what its vision encoder made of a picture in a cache of few: of as many tokens as a batch may have, 8,192 by
default (its ``EncoderCacheManager``). A question whose picture's last tokens are in no full block of the prefix cache
needs it, which is nearly every one; so where more pictures come between a first question and those after it, the server
encodes that picture again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from persqa_client.chat.quotas import PictureTokens
from persqa_client.types import Picture

ROOM = 4096
"""Tokens: half of that cache, since the pictures before these are still being asked about."""


class Landing:
    """Room for pictures on their way, in tokens; given in order, but first to what is tried again."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self.taken = 0
        """Tokens of what is on its way."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, tokens: int, *, again: bool) -> None:
        """Takes so much room, once it is there; more than there is, only when nothing else is on its way."""
        if not self._waiting and self._fits(tokens):
            self.taken += tokens
            return
        future = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if again else self._waiting.append)((tokens, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.leave(tokens)
            raise

    def leave(self, tokens: int) -> None:
        """Gives the room back."""
        self.taken -= tokens
        while self._waiting and (self._waiting[0][1].done() or self._fits(self._waiting[0][0])):
            tokens, future = self._waiting.popleft()
            if not future.done():
                self.taken += tokens
                future.set_result(None)

    def _fits(self, tokens: int) -> bool:
        return not self.taken or self.taken + tokens <= self._room


def weights(pictures: Sequence[Picture], tokens: PictureTokens | None) -> dict[str, int]:
    """What each picture that a server is to keep takes of the room, by its uuid; nothing where ``tokens`` is None."""
    return {
        picture.uuid: tokens(picture) if tokens is not None else 0 for picture in pictures if picture.uuid is not None
    }
