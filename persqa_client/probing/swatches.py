"""Plain pictures of colours that no model mistakes for one another, and what an answer calls them. Pure."""

from __future__ import annotations

import io
import re

from PIL import Image

from persqa_client.types import Picture

SIDE = 560
"""Twenty times 28, and not a multiple of 32: the models' rules count its tokens differently."""

COLOURS: dict[str, tuple[tuple[int, int, int], str]] = {
    "red": ((220, 20, 30), r"\bred\b|红"),
    "green": ((0, 160, 60), r"\bgreen\b|绿"),
    "blue": ((20, 60, 220), r"\bblue\b|蓝"),
    "yellow": ((255, 235, 0), r"\byellow\b|黄"),
    "purple": ((120, 30, 160), r"\b(?:purple|violet)\b|紫"),
    "black": ((0, 0, 0), r"\bblack\b|黑"),
    "white": ((255, 255, 255), r"\bwhite\b|白"),
}
"""Name, RGB value, and a pattern of what it is called in English and Chinese."""

LONGEST = 80
"""Characters of an answer that is about the colour; further text may bring up any colour by chance."""

THINKING = re.compile(r".*</think>", re.DOTALL)


def swatch(colour: str, side: int = SIDE) -> Picture:
    """A square picture filled with one of COLOURS."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), COLOURS[colour][0]).save(buffer, "PNG")
    return Picture(buffer.getvalue(), "image/png", side, side)


def named_colour(text: str) -> str | None:
    """The one colour that an answer names; None where it names none, several, or is much longer than it was asked."""
    answer = THINKING.sub("", text).strip()
    found = [name for name, (_, words) in COLOURS.items() if re.search(words, answer, re.IGNORECASE)]
    return found[0] if len(found) == 1 and len(answer) <= LONGEST else None
