"""Checks the names of output files: a command refuses a name whose suffix is that of another format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from persqa_client.cli.usage import path

# Endings of files that a command writes, the usual one first.
ROWS, PAGE, SETTINGS = (".jsonl", ".json", ".ndjson", ".jsonlines", ".txt"), (".html", ".htm"), (".toml",)
TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".parquet", ".arrow", ".feather", ".npy", ".h5", ".db", ".sqlite")
TEXTS = (".pdf", ".md", ".xml", ".yaml", ".yml", ".ini", ".py", ".docx")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".svg")
KNOWN_SUFFIXES = frozenset((*ROWS, *PAGE, *SETTINGS, *TABLES, *TEXTS, *ARCHIVES, *PICTURES))


def output_file(content: str, suffixes: tuple[str, ...], *, may_continue: bool = False) -> Callable[[str], Path]:
    """A parser of an option for a file that is written. It refuses the name of a folder, and the suffix of another kind
    of file. ``content``: name of the format, for the message.

    ``may_continue``: an earlier version may have begun to write it, so a file that exists may have any name.
    """

    def parse(text: str) -> Path:
        file = path(text)
        example = f"qa{suffixes[0]}"
        if str(text).endswith("/") or (not may_continue and file.is_dir()):
            raise typer.BadParameter(f"{text} is the name of a folder; name a file in it, such as {file / example}.")
        suffix = file.suffix.lower()
        if suffix in KNOWN_SUFFIXES and suffix not in suffixes and not (may_continue and may_be_written_already(file)):
            while (other := file.with_suffix("")).suffix.lower() in KNOWN_SUFFIXES:
                file = other
            other = file.with_suffix(suffixes[0])
            raise typer.BadParameter(f"the file will have {content}; name it {other}, not {text}.")
        return file

    parse.__name__ = path.__name__  # shown by the help
    return parse


def may_be_written_already(file: Path) -> bool:
    return any(file.with_name(f"{file.name}{ending}").exists() for ending in ("", ".partial", ".checkpoint"))


rows_file = output_file("JSON Lines", ROWS, may_continue=True)
page_file = output_file("HTML", PAGE)
settings_file = output_file("TOML", SETTINGS)
