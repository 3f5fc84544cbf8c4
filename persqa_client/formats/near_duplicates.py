"""Finds pictures that show the same: copies in another size, format or quality.

A signature is a difference hash (whether each pixel of a tiny grey picture is brighter than its neighbour, to the right
and below) with the average colour, which tells plain pictures apart. Pillow is enough for it. ImageHash, the known
library of such hashes, would bring NumPy, SciPy and PyWavelets.
"""

from __future__ import annotations

import io
import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.prepare import read_image

SIDE = 8
BITS = 2 * SIDE * SIDE
# Pictures of fewer differing bits are near duplicates. Each band of bits is looked up by itself: of two pictures with
# fewer differing bits than there are bands, one band is equal.
BANDS = 8
BAND_BITS = BITS // BANDS
MAX_COLOUR_DISTANCE = 16
# Each picture is compared with at most so many earlier ones with an equal band. The time is therefore linear. More have
# it if it is that of a plain part, such as a white background; near duplicates are then found by their other bands.
MAX_COMPARED = 200
# For the first reduction.
MAX_PIXELS = 128 * 128
MAX_THREADS = 8


class Signature(NamedTuple):
    bits: int
    colour: tuple[int, int, int]


class PlacedPicture(NamedTuple):
    reference: str
    roots: Sequence[Path]


def compute_signatures(pictures: Sequence[PlacedPicture]) -> Iterator[Signature | None]:
    """The signatures in order; None for a picture that can't be read."""
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(compute_signature, pictures)


def compute_signature(picture: PlacedPicture) -> Signature | None:
    """The signature of the picture as it is sent: upright, in sRGB."""
    try:
        encoded = read_image(picture.reference, picture.roots).reencoded(MAX_PIXELS)
    except RowError:
        return None
    with Image.open(io.BytesIO(encoded.data)) as image:
        return sign_image(image.convert("RGB"))


def sign_image(image: Image.Image) -> Signature:
    grey = image.convert("L")
    wide = grey.resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS).tobytes()
    high = grey.resize((SIDE, SIDE + 1), Image.Resampling.LANCZOS).tobytes()
    across = [wide[i + 1] > wide[i] for i in range(len(wide)) if i % (SIDE + 1) != SIDE]
    down = [high[i + SIDE] > high[i] for i in range(SIDE * SIDE)]
    bits = sum(bit << place for place, bit in enumerate(across + down))
    red, green, blue = image.resize((1, 1), Image.Resampling.BOX).tobytes()
    return Signature(bits, (red, green, blue))


def are_near(one: Signature, other: Signature) -> bool:
    return (one.bits ^ other.bits).bit_count() < BANDS and all(
        abs(a - b) <= MAX_COLOUR_DISTANCE for a, b in zip(one.colour, other.colour, strict=True)
    )


def find_near_pairs(signatures: Iterable[Signature | None]) -> Iterator[tuple[int, int]]:
    """Numbers of near duplicates, each with an earlier one. Equal signatures are compared once.

    The signatures are taken one at a time.
    """
    first: dict[Signature, int] = {}
    bands: defaultdict[tuple[int, int], deque[tuple[int, Signature]]] = defaultdict(partial(deque, maxlen=MAX_COMPARED))
    for number, signature in enumerate(signatures):
        if signature is None:
            continue
        if signature in first:
            yield first[signature], number
            continue
        first[signature] = number
        alike = [bands[band, signature.bits >> band * BAND_BITS & (1 << BAND_BITS) - 1] for band in range(BANDS)]
        for earlier, known in sorted(set(chain.from_iterable(alike))):
            if are_near(known, signature):
                yield earlier, number
        for each in alike:
            each.append((number, signature))
