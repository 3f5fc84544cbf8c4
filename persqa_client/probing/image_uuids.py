"""Tests whether an image can be sent again by its uuid alone.

Equal token counts are no evidence, because a server may count an image that it does not have. The model's answer shows
which image it received.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import replace

from persqa_client.client.image_uploads import ImageUploads
from persqa_client.endpoints.profile import Reply
from persqa_client.probing.probe_session import ImageFormat, ProbeSession
from persqa_client.probing.vision import COLOURS, ask_colour_of, find_named_colour, make_colour_image
from persqa_client.types import EncodedImage

# Pixels. Models with random weights answer small images of different colours alike.
SIDE = 560
# Enough for answers of any model, since whole answers are compared.
MAX_TOKENS = 16
# After an unrelated failure the session sends the image instead of the uuid, which tests nothing.
TRIES = 3


def judge_uuid(colour: str, sent: str, other: str, by_uuid: str) -> bool:
    """Arguments: the answers at temperature 0 to an image of this colour, to another image, and to the first's uuid.

    The last answer must equal the first and differ from the second, or name the colour.
    """
    sent, other, by_uuid = (" ".join(text.split()) for text in (sent, other, by_uuid))
    if not (sent and other and by_uuid) or by_uuid == other:
        return False
    return by_uuid == sent or find_named_colour(by_uuid) == colour


async def probe_uuid(probe: ProbeSession) -> bool:
    """Requests have the form of a run's, including streamed uploads. The uuid is sent right after its image, because
    the server's cache may be small.
    """
    variation = probe.greedy()
    variation.profile.dialect = replace(variation.profile.dialect, sends_uuids=True)
    variation.profile.uploads = ImageUploads()
    first, second = random.sample(sorted(COLOURS), 2)
    other = await _complete_by_uuid(variation, lambda: make_image(second, probe.image_format), unknown=True)
    if other is None or other.used_uuids:
        return False
    image = make_image(first, probe.image_format)
    sent = await variation.try_complete(ask_colour_of(image, max_tokens=MAX_TOKENS))
    by_uuid = await _complete_by_uuid(variation, lambda: image, unknown=False) if sent is not None else None
    if sent is None or by_uuid is None or not by_uuid.used_uuids:
        return False
    return judge_uuid(first, *(reply.completion.text for reply in (sent, other, by_uuid)))


def make_image(colour: str, format: ImageFormat = "PNG") -> EncodedImage:
    image = make_colour_image(colour, SIDE, palette=format == "PNG", format=format)
    return replace(image, uuid=f"persqa-{secrets.token_hex(8)}")


async def _complete_by_uuid(
    probe: ProbeSession, next_image: Callable[[], EncodedImage], *, unknown: bool
) -> Reply | None:
    """The reply to a uuid, or to the image if the server requests it; None if it answers neither.

    ``unknown``: the session treats the image as sent, although it is not. A server that answers would also answer about
    an image that is no longer in its cache.
    """
    reply = None
    for _ in range(TRIES):
        image = next_image()
        if unknown and image.uuid is not None:
            probe.profile.uploads.cache.add((image.uuid,))
        reply = await probe.try_complete(ask_colour_of(image, max_tokens=MAX_TOKENS))
        if reply is None or reply.used_uuids or reply.attempts == 1:
            break
    return reply
