"""Requests with images to servers that accept not all of them, sent like those of a session."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image

from persqa_client.client.image_dialect import ImageDialect, RequestImages
from persqa_client.images.loader import total_size
from persqa_client.types import EncodedImage, ErrorDecision, RetryAction
from tests.images.image_files import SAMPLES, decode, encode

PHOTO = decode(SAMPLES[0].read_bytes()).resize((320, 240))
NOISE = Image.frombytes("RGB", (700, 600), random.Random(1).randbytes(3 * 700 * 600))
DRAWING = Image.new("RGB", (300, 200), "white")


def encoded(image: Image.Image, format: str, **settings: object) -> EncodedImage:
    return EncodedImage(encode(image, format, **settings), f"image/{format.lower()}", *image.size)


WEBP, PNG, JPEG = (encoded(PHOTO, format) for format in ("WEBP", "PNG", "JPEG"))

# Answers None, or why a request with these images failed.
Server = Callable[[tuple[EncodedImage, ...]], ErrorDecision | None]


def refusal(status: int, message: str, action: RetryAction = RetryAction.FAIL, code: str = "rejected") -> ErrorDecision:
    return ErrorDecision(action, code, message, status=status, raw=message)


def without(*formats: str) -> Server:
    """A server that refuses these formats."""
    types = {f"image/{format}" for format in formats}
    return lambda images: refusal(400, "Bad image.") if any(image.media_type in types for image in images) else None


def within(limit: int, status: int = 413, message: str = "Too large.") -> Server:
    """A server that refuses images of more bytes in base64, all together."""
    return lambda images: refusal(status, message) if total_size(images) > limit else None


class Conversation:
    """Sends requests like a session, and remembers what was sent."""

    def __init__(self, dialect: ImageDialect, server: Server) -> None:
        self.dialect = dialect
        self.server = server
        self.sent: list[tuple[EncodedImage, ...]] = []

    async def ask(self, *images: EncodedImage, max_attempts: int = 5) -> ErrorDecision | None:
        request, attempts = RequestImages(self.dialect, images), 0
        while True:
            await request.prepare()
            if (refusal := request.take_refusal()) is not None and refusal.action is RetryAction.FAIL:
                return refusal
            self.sent.append(request.current)
            decision = self.server(request.current)
            if decision is None:
                request.record_answer()
                return None
            if request.is_form_refused(decision, attempts):
                continue
            attempts += 1
            if decision.action is not RetryAction.RETRY or attempts >= max_attempts:
                return decision

    def types_sent(self) -> list[str]:
        return ["+".join(image.media_type.removeprefix("image/") for image in images) for images in self.sent]
