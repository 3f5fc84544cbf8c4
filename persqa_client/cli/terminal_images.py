"""Pictures on a terminal: by the protocols of kitty and iTerm2, or as coloured half blocks.

https://sw.kovidgoyal.net/kitty/graphics-protocol/, https://iterm2.com/documentation-images.html
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Literal

from PIL import Image

Protocol = Literal["kitty", "iterm", "blocks"]
# A cell is about twice as high as wide.
CELL_RATIO = 2
# Bytes of base64 in one command of kitty's protocol.
CHUNK = 4096


def choose_protocol(environ: Mapping[str, str], *, is_terminal: bool) -> Protocol | None:
    """The protocol for pictures that the terminal supports; None without colours. Tmux and screen pass only blocks."""
    if not is_terminal or environ.get("NO_COLOR") or environ.get("TERM", "dumb") == "dumb":
        return None
    if not ("TMUX" in environ or environ["TERM"].startswith(("screen", "tmux"))):
        if "KITTY_WINDOW_ID" in environ or environ["TERM"] in ("xterm-kitty", "xterm-ghostty"):
            return "kitty"
        if environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
            return "iterm"
    has_colours = environ.get("COLORTERM") in ("truecolor", "24bit") or "256color" in environ["TERM"]
    return "blocks" if has_colours else None


def render_image(data: bytes, protocol: Protocol, *, columns: int, rows: int, true_colour: bool) -> str:
    """The text that shows an encoded image in at most ``columns`` x ``rows`` cells, ended by a line break."""
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    scale = min(columns / image.width, rows * CELL_RATIO / image.height)
    width = max(1, round(image.width * scale))
    height = max(1, round(image.height * scale / CELL_RATIO))
    if protocol == "blocks":
        return render_blocks(image.resize((width, height * CELL_RATIO)), true_colour=true_colour)
    # 10 pixels a column are sharp enough for a preview.
    image.thumbnail((width * 10, height * 20))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    text = base64.b64encode(encoded.getvalue()).decode()
    if protocol == "iterm":
        size = f"width={width};height={height};inline=1;preserveAspectRatio=1"
        return f"\x1b]1337;File={size}:{text}\a\n"
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    first = f"a=T,f=100,q=2,c={width},r={height},"
    parts = [
        f"\x1b_G{first if number == 0 else ''}m={int(number + 1 < len(chunks))};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    ]
    return "".join(parts) + "\n"


def render_blocks(image: Image.Image, *, true_colour: bool) -> str:
    """Each character shows two pixels: the upper one in the text's colour, the lower one in the background's."""
    pixels = image.load()
    assert pixels is not None
    lines = []
    for y in range(0, image.height - 1, 2):
        cells = [
            f"\x1b[38;{colour_code(pixels[x, y], true_colour)};48;{colour_code(pixels[x, y + 1], true_colour)}m▀"
            for x in range(image.width)
        ]
        lines.append("".join(cells) + "\x1b[0m\n")
    return "".join(lines)


def colour_code(pixel: object, true_colour: bool) -> str:
    """The colour in an SGR sequence: 24 bits, or the nearest of the 6 x 6 x 6 colours of xterm."""
    assert isinstance(pixel, tuple)
    if true_colour:
        return "2;{};{};{}".format(*pixel)
    red, green, blue = (round(level / 255 * 5) for level in pixel)
    return f"5;{16 + 36 * red + 6 * green + blue}"
