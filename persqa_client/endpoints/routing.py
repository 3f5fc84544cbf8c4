"""Which of several endpoints gets a request: least outstanding work first, one picture at one server. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal
from zlib import crc32

from persqa_client.types import EncodedImage

NEAR = 0.25
"""In turns of a server's slots: within so much of the least load, a new picture goes where it would always go."""
FREE, FULL = 0.5, 1.0
"""How much more to do a server may have that knows the picture: less while another one has a free slot. Without a bound
the first to know a few pictures would be given all, and find that it can do with more, while others idle."""

State = Literal["well", "doubtful", "held", "away"]


@dataclass(frozen=True, slots=True)
class Load:
    """How an endpoint stands. ``outstanding`` are its requests, those that wait included; ``slots`` are how many it may
    have at once."""

    outstanding: int
    slots: int
    state: State = "well"
    """``well``; ``doubtful``: the last thing heard of it was no answer, so it gets one request at a time; ``held``: it
    asked to be left alone for a while; ``away``: nothing may be sent."""

    @property
    def share(self) -> float:
        """What one more request would make of its load, in turns of its slots."""
        alone = self.state == "doubtful" and self.outstanding > 0
        return (self.outstanding + 1) / (1 if alone else max(1, self.slots))


def choose(
    loads: Sequence[Load], order: Sequence[int], *, home: int | None = None, avoid: int | None = None
) -> int | None:
    """The number of the endpoint for a request; None where all are away.

    ``order`` is how the request's picture prefers them, ``home`` the one that had the picture before, ``avoid`` the one
    where the request failed just now.
    """
    able = [number for number in order if loads[number].state not in {"away", "held"}]
    able = able or [number for number in order if loads[number].state != "away"]
    able = [number for number in able if number != avoid] or able
    if not able:
        return None
    least = min(loads[number].share for number in able)
    if home in able and loads[home].share <= least + (FREE if least <= 1 else FULL):
        return home
    return next(number for number in able if loads[number].share <= least + NEAR)


def picture_key(pictures: Sequence[EncodedImage]) -> int | None:
    """A number that is the same for the same pictures, from run to run; None where there is none."""
    if not pictures:
        return None
    key = 0
    for picture in pictures:
        key = crc32(picture.data, key)
    return key


def preference(key: int | None, names: Sequence[str]) -> list[int]:
    """The endpoints in the order in which a picture prefers them: the same from run to run, whichever others there
    are, and every endpoint the first of as many pictures."""
    if key is None:
        return list(range(len(names)))
    seed = key.to_bytes(4)
    return sorted(
        range(len(names)), key=lambda number: blake2b(names[number].encode(), key=seed, digest_size=8).digest()
    )


# Which endpoint has had a picture: remembered for the latest of them. Pure.

REMEMBERED = 4096
"""Pictures; all questions about one come within fewer."""


class Homes:
    """A bounded map from a picture's key to the number of an endpoint; what was not asked for longest goes first."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._homes: dict[int, int] = {}

    def of(self, key: int | None) -> int | None:
        return None if key is None else self._homes.get(key)

    def settle(self, key: int | None, number: int) -> None:
        if key is None:
            return
        self._homes.pop(key, None)
        self._homes[key] = number
        if len(self._homes) > self._most:
            del self._homes[next(iter(self._homes))]

    def forget(self, number: int) -> None:
        """The endpoint is no longer anybody's."""
        self._homes = {key: home for key, home in self._homes.items() if home != number}
