"""Writing to a terminal: lines that end between words, and displays that are drawn again in their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console


class QuietConsole(Console):
    """Stops printing when its output is closed; rich would exit the process.

    ``is_terminal`` does not follow FORCE_COLOR, which many CI systems set: sequences that move the cursor, and lines
    that end at a width, are for terminals only. ``is_interactive`` says whether lines can be drawn again, which those
    with ``TERM=dumb`` can't.
    """

    @property
    def is_terminal(self) -> bool:
        return self.file.isatty() and super().is_terminal

    def on_broken_pipe(self) -> None:
        self.quiet = True


def wrap_words(text: str, stream: TextIO, *, indent: int = 0) -> str:
    """On a terminal, lines end between words. Words that are longer than a line, such as paths, are left whole.

    ``indent``: spaces before the rest of a line that is broken.
    """
    if not stream.isatty():
        return text
    width = os.get_terminal_size(stream.fileno()).columns or 80
    return "\n".join("\n".join(wrap_line(line, width, indent)) for line in text.split("\n"))


def wrap_line(line: str, width: int, indent: int = 0) -> Iterator[str]:
    """``width``: in cells of a terminal, of which a Chinese letter takes two.

    >>> list(wrap_line("a/very/long/path is  here", 8)), list(wrap_line("照片 照片", 8))
    (['a/very/long/path', 'is  here'], ['照片', '照片'])
    """
    shown, *words = line.split(" ")
    for word in words:
        longer = f"{shown} {word}"
        if cell_len(longer) <= width or not shown.strip():
            shown = longer
        elif word:
            yield shown.rstrip()
            shown = " " * indent + word
    yield shown
