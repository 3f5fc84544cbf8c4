"""Names image formats that Pillow can read but that are not sent, such as Netpbm, TGA or DDS.

Only the header of a file is read. Many of these formats have no signature of more than two bytes.
"""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image

from persqa_client.images.decode import BOMB_ERRORS, DECODER_ERRORS, OPENERS

# Not images, or formats without any mark of their own, for which Pillow takes text and other files.
NO_IMAGES = frozenset({"BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "IM", "IMT", "PCD"})


@lru_cache(maxsize=1)
def list_other_formats() -> list[str]:
    Image.init()
    return [format for format in Image.OPEN if format not in OPENERS and format not in NO_IMAGES]


def describe_other_image(data: bytes) -> str | None:
    """What the image is, for a message after "is"; None if Pillow knows no such format."""
    for format in list_other_formats():
        factory, accepts = Image.OPEN[format]
        try:
            if accepts is not None and accepts(data[:16]) is not True:
                continue
            opened = factory(io.BytesIO(data), "")
        except (*DECODER_ERRORS, *BOMB_ERRORS, DeprecationWarning):
            continue
        if min(opened.size) > 0:
            return f"an image of the format {format} ({opened.format_description})"
    return None
