"""Writing to a terminal: lines that end between words, and displays that are drawn again in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

# Letters that are written without spaces, of which a line may end behind each, with the marks that stay behind them.
WIDE = "\u1100-\u115f\u2e80-\u2fff\u3040-\ua4cf\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003fffd"
CLOSING = "\u3001\u3002\u3009\u300b\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f\u201d"
PARTS_OF_WORD = re.compile(f"[{WIDE}][{CLOSING}]*|[^{WIDE}]+")


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


def wrap_line(line: str, width: int, indent: int = 0, *, cuts_wide: bool = False) -> Iterator[str]:
    """``width``: in cells of a terminal, of which a Chinese letter takes two.

    ``cuts_wide``: also ends lines between Chinese letters, of which sentences consist; but not in paths.

    >>> list(wrap_line("a/very/long/path is  here", 8)), list(wrap_line("照片 照片", 8))
    (['a/very/long/path', 'is  here'], ['照片', '照片'])
    >>> list(wrap_line("他在照片里。", 8, cuts_wide=True))
    ['他在照片', '里。']
    """
    shown, *words = line.split(" ")
    parts = [(" ", word) for word in words]
    if cuts_wide:
        (_, shown), *parts = [part for word in (("", shown), *parts) for part in split_word(*word)]
    for space, part in parts:
        longer = f"{shown}{space}{part}"
        if cell_len(longer) <= width or not shown.strip():
            shown = longer
        elif part:
            yield shown.rstrip()
            shown = " " * indent + part
    yield shown


def split_word(space: str, word: str) -> Iterator[tuple[str, str]]:
    """Parts between which a line may end, each with what is before it.

    >>> list(split_word(" ", "<mam>在。")), list(split_word(" ", "照片/a"))
    ([(' ', '<mam>'), ('', '在。')], [(' ', '照片/a')])
    """
    parts = [word] if "/" in word else PARTS_OF_WORD.findall(word) or [word]
    yield from zip((space, *("" for _ in parts[1:])), parts, strict=True)


def wrap_behind(label: Text, text: Text, width: int) -> Text:
    """Text behind a label; its lines after the first begin below the text.

    >>> wrap_behind(Text("sample  "), Text("a/b/c/d.jpg: he runs"), 16).plain
    'sample  a/b/c/d.jpg:\\n        he runs'
    """
    room = max(1, width - label.cell_len)
    lines = [part for line in text.split("\n", allow_blank=True) for part in wrap_text(line, room)]
    return label + Text(f"\n{' ' * label.cell_len}").join(lines)


def wrap_text(line: Text, width: int) -> Iterator[Text]:
    end = 0
    for shown in wrap_line(line.plain, width, cuts_wide=True):
        start = line.plain.index(shown, end)
        end = start + len(shown)
        yield line[start:end]
