"""Checks the names of output files: the suffix must not be that of another format than the one that is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from persqa_client.storage.run_files import RunFiles

TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".parquet", ".arrow", ".feather", ".npy", ".h5", ".db", ".sqlite")
TEXTS = (".pdf", ".md", ".xml", ".yaml", ".yml", ".ini", ".py", ".docx")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".svg")


@dataclass(frozen=True, slots=True)
class FileFormat:
    """``name``: for messages. ``suffixes``: those of files in this format, the usual one first.

    ``may_continue``: an earlier version may have begun to write the file, so a file that exists may have any name.
    """

    name: str
    suffixes: tuple[str, ...]
    may_continue: bool = False

    def explain_other_name(self, file: Path) -> str | None:
        """Why a file in this format can't have the name; None if it can."""
        suffix = file.suffix.lower()
        if suffix not in KNOWN_SUFFIXES or suffix in self.suffixes:
            return None
        if self.may_continue and may_be_written_already(file):
            return None
        if self.may_continue and file.exists():
            return f"{file} exists and is no output of a run; give it as an input, and -o the name of a new .jsonl file"
        stem = file
        while (other := stem.with_suffix("")).suffix.lower() in KNOWN_SUFFIXES:
            stem = other
        return f"the file will have {self.name}; name it {stem.with_suffix(self.suffixes[0])}, not {file}"

    def explain_unusual_name(self, file: Path) -> str | None:
        """What other programs will make of the name of a new file; None if it is a usual one."""
        # A folder or a device is refused later, by what it is.
        if file.suffix.lower() not in ("", ".json") or (file.exists() and not file.is_file()):
            return None
        if may_be_written_already(file):
            return None
        reason = "has no suffix" if not file.suffix else f"ends in {file.suffix}, whose readers expect one value"
        # The name is not repeated with another ending, because a text before an ending is not masked as a key.
        return f"The name {file} {reason}, and the file will have {self.name}: the ending {self.suffixes[0]} is usual."


def may_be_written_already(file: Path) -> bool:
    """Whether there are files of a run with this output, finished or not."""
    files = RunFiles.for_output(file)
    return files.partial.exists() or files.checkpoint.exists() or (file.exists() and files.run.exists())


ROWS = FileFormat("JSON Lines", (".jsonl", ".json", ".ndjson", ".jsonlines", ".txt"), may_continue=True)
PAGE = FileFormat("HTML", (".html", ".htm"))
SETTINGS = FileFormat("TOML", (".toml",))
KNOWN_SUFFIXES = frozenset((*ROWS.suffixes, *PAGE.suffixes, *SETTINGS.suffixes, *TABLES, *TEXTS, *ARCHIVES, *PICTURES))
