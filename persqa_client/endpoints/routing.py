"""Chooses the endpoint of a request: the least loaded one, preferably one that has cached its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal
from zlib import crc32

from persqa_client.types import EncodedImage

# Share of an endpoint's permits: up to this difference in load, new images go to their preferred endpoint.
NEAR = 0.25
# Extra load allowed at the endpoint that has the images, while there are free permits and while there are none.
# Without a bound, one endpoint could get every request about a few images while others idle.
KNOWN_FREE, KNOWN_FULL = 0.5, 1.0

# ``doubtful``: the last event was a failure, so the endpoint gets one request at a time. ``paused``: by Retry-After.
HealthState = Literal["healthy", "doubtful", "paused", "unavailable"]


@dataclass(frozen=True, slots=True)
class EndpointLoad:
    outstanding: int  # requests that hold a permit or wait for one
    permits: int  # maximum of concurrent requests
    health: HealthState = "healthy"

    @property
    def share(self) -> float:
        one_at_a_time = self.health == "doubtful" and self.outstanding > 0
        return (self.outstanding + 1) / (1 if one_at_a_time else max(1, self.permits))


def choose_endpoint(
    loads: Sequence[EndpointLoad], order: Sequence[int], *, known_at: int | None = None, avoid: int | None = None
) -> int | None:
    """Returns an index; None if all are unavailable.

    ``order``: preferred endpoints of the images. ``known_at``: endpoint that has the images. ``avoid``: endpoint where
    the request just failed.
    """
    able = [index for index in order if loads[index].health not in {"unavailable", "paused"}]
    able = able or [index for index in order if loads[index].health != "unavailable"]
    able = [index for index in able if index != avoid] or able
    if not able:
        return None
    # No request waits for the endpoint that has its images while another one has a free permit. Otherwise ``auto``
    # would never raise the limit of the other one, because it raises only limits that are reached.
    free = [index for index in able if loads[index].share <= 1]
    able = free or able
    least = min(loads[index].share for index in able)
    if known_at in able and loads[known_at].share <= least + (KNOWN_FREE if free else KNOWN_FULL):
        return known_at
    return next(index for index in able if loads[index].share <= least + NEAR)


def image_key(images: Sequence[EncodedImage]) -> int | None:
    """Equal for equal images in all runs; None without images."""
    if not images:
        return None
    key = 0
    for image in images:
        key = crc32(image.data, key)
    return key


def rank_endpoints(key: int | None, urls: Sequence[str]) -> list[int]:
    """Endpoint indices in the order of preference of an image (rendezvous hashing)."""
    if key is None:
        return list(range(len(urls)))
    seed = key.to_bytes(4)
    return sorted(range(len(urls)), key=lambda index: blake2b(urls[index].encode(), key=seed, digest_size=8).digest())
