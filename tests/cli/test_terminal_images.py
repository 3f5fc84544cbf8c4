"""Pictures on a terminal: which protocol is chosen, and what is printed."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from persqa_client.cli.terminal_images import choose_protocol, render_image

XTERM = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({**XTERM, "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({**XTERM, "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({**XTERM, "KITTY_WINDOW_ID": "1", "TMUX": "/tmp/tmux"}, "blocks"),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, "blocks"),
        (XTERM, "blocks"),
        ({"TERM": "xterm"}, None),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, None),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, None),
        ({"TERM": "xterm-kitty", "NO_COLOR": ""}, "kitty"),
        ({}, None),
    ],
)
def test_the_best_protocol_of_the_terminal_is_chosen(environ: dict[str, str], protocol: str | None) -> None:
    assert choose_protocol(environ, is_terminal=True) == protocol
    assert choose_protocol(environ, is_terminal=False) is None


def encoded(width: int, height: int, colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "PNG")
    return data.getvalue()


def test_half_blocks_keep_the_shape_and_the_colours() -> None:
    text = render_image(encoded(400, 200), "blocks", columns=40, rows=14, true_colour=True)
    assert set(re.findall(r"\x1b\[(.*?)m", text)) == {"38;2;255;0;0;48;2;255;0;0", "0"}
    assert [line.count("▀") for line in text.splitlines()] == [40] * 10
    few = render_image(encoded(200, 400, (0, 255, 255)), "blocks", columns=40, rows=14, true_colour=False)
    assert [line.count("▀") for line in few.splitlines()] == [14] * 14
    assert set(re.findall(r"\x1b\[(.*?)m", few)) == {"38;5;51;48;5;51", "0"}


def decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def test_kitty_gets_the_picture_in_pieces() -> None:
    noise = Image.effect_noise((300, 200), 90).convert("RGB")
    data = io.BytesIO()
    noise.save(data, "PNG")
    text = render_image(data.getvalue(), "kitty", columns=30, rows=14, true_colour=True)
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert parts[0][0] == "a=T,f=100,q=2,c=30,r=10,m=1"
    assert [fields for fields, _ in parts[1:]] == [*["m=1"] * (len(parts) - 2), "m=0"]
    assert max(len(chunk) for _, chunk in parts) <= 4096
    assert decode("".join(chunk for _, chunk in parts)).size == (300, 200)


def test_iterm_gets_the_picture_in_cells() -> None:
    text = render_image(encoded(1000, 500), "iterm", columns=40, rows=14, true_colour=True)
    found = re.fullmatch(r"\x1b\]1337;File=width=40;height=10;inline=1;preserveAspectRatio=1:(.*)\a\n", text)
    assert found is not None
    assert decode(found[1]).size == (400, 200)
