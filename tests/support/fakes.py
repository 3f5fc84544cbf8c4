"""Fakes that implement the package's own protocols."""

from __future__ import annotations

from collections.abc import Sequence

from persqa_client.endpoints.profile import Reply
from persqa_client.types import BoxMark, Completion, EncodedImage, LoadedImage, Request, Usage


class FakeCompleter:
    """Answers requests from a queue of texts, completions and errors, and records the requests."""

    def __init__(
        self, replies: Sequence[str | Completion | Exception], *, constrained: bool = False, prefilled: bool = False
    ) -> None:
        self.prefilled = prefilled
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.constrained = constrained

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, str):
            reply = Completion(reply, "stop", Usage(100, 10), "fake")
        return Reply(reply, 1, self.constrained, self.prefilled)


async def load_nothing(reference: str, mark: BoxMark | None = None) -> LoadedImage:
    return LoadedImage(EncodedImage(reference.encode(), "image/jpeg", 1, 1))
