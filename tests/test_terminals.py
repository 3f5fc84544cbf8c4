"""What is written to a terminal, and what to a file that looks like one."""

from __future__ import annotations

import io
import os
import termios

import pytest

from persqa_client.terminals import QuietConsole, wrap_line, wrap_words


def test_lines_on_a_terminal_end_between_words() -> None:
    """A path is left whole, and nothing else is changed."""
    reader, writer = os.openpty()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as terminal:
        termios.tcsetwinsize(terminal.fileno(), (24, 20))
        text = "Error: run --base-url\nagain, see photos/a-long-name.jsonl  now\n\nend"
        lines = ["Error: run", "--base-url", "again, see", "photos/a-long-name.jsonl", "now", "", "end"]
        assert wrap_words(text, terminal).split("\n") == lines
        termios.tcsetwinsize(terminal.fileno(), (0, 0))
        assert wrap_words(text, terminal) == text
    assert wrap_words(text, io.StringIO()) == text


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("Error: 照片 is empty.", ["Error:", "照片 is", "empty."]),
        ("照片目录里的文件 here", ["照片目录里的文件", "here"]),
        ("  a  bc", ["  a  bc"]),
        ("  a-long-word and", ["  a-long-word", "and"]),
        ("end    ", ["end    "]),
    ],
)
def test_a_chinese_letter_takes_two_cells(line: str, lines: list[str]) -> None:
    assert list(wrap_line(line, 8)) == lines


def test_the_rest_of_a_line_is_indented() -> None:
    assert list(wrap_line("    line 5: <mam> runs", 11, indent=6)) == ["    line 5:", "      <mam>", "      runs"]


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_file_is_no_terminal_whatever_the_environment_says(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    assert not QuietConsole(file=io.StringIO()).is_terminal


@pytest.mark.parametrize(("term", "redraws"), [("xterm", True), ("dumb", False)])
def test_only_some_terminals_draw_lines_again(term: str, redraws: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    reader, writer = os.openpty()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as terminal:
        console = QuietConsole(file=terminal)
        assert (console.is_terminal, console.is_interactive) == (True, redraws)
