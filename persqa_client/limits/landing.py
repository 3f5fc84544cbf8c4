"""How many new pictures are on their way to a server at once. Waits, nothing else.

vLLM keeps what its vision encoder made of a picture in a cache of few: of as many tokens as a batch may have, or as the
largest picture that the model allows (its ``compute_mm_encoder_budget``). A question whose picture's last tokens are in
no full block of the prefix cache needs it, which is nearly every one; so where more pictures come between a first
question and those after it, the server encodes that picture again.
"""

from __future__ import annotations

from collections.abc import Sequence

from persqa_client.images.tokens import PictureTokens
from persqa_client.limits.waiters import Waiters
from persqa_client.types import Picture

ROOM = 4096
"""Tokens: half of a batch of 8,192, vLLM's default on an H100, as pictures before these are still being asked about."""


class Landing:
    """Room for pictures on their way, in tokens; given in order, but first to what is tried again."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self.taken = 0
        """Tokens of what is on its way."""
        self.waiting = Waiters()

    async def enter(self, tokens: int, *, again: bool) -> None:
        """Takes so much room, once it is there; more than there is, only when nothing else is on its way."""
        if self.waiting.first() is None and self._fits(tokens):
            self.taken += tokens
        else:
            await self.waiting.wait(tokens, again=again, give_back=self.leave)

    def leave(self, tokens: int) -> None:
        """Gives the room back."""
        self.taken -= tokens
        while (need := self.waiting.first()) is not None and self._fits(need):
            self.taken += need
            self.waiting.call(need)

    def _fits(self, tokens: int) -> bool:
        return not self.taken or self.taken + tokens <= self._room


def weights(pictures: Sequence[Picture], tokens: PictureTokens | None) -> dict[str, int]:
    """What each picture that a server is to keep takes of the room, by its uuid; nothing where ``tokens`` is None."""
    return {
        picture.uuid: tokens(picture) if tokens is not None else 0 for picture in pictures if picture.uuid is not None
    }
