"""The file with a server's own words: a given one, or a temporary one that goes when all went well. Reads, writes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from persqa_client.errors import SettingsError

TAIL = 65536
"""Bytes at its end that are looked at."""


class ServerLog:
    """One file for all starts of a server; ``said`` speaks of the newest."""

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self.given = None if given is None else Path(given)
        self.path = self.given
        """None where there is no file at the moment."""
        self._begin = 0

    def open(self) -> IO[bytes]:
        """For a new start, whose words follow those of earlier ones. Raises SettingsError where it can't be written."""
        try:
            if self.path is None:
                descriptor, name = tempfile.mkstemp(prefix="persqa-vllm-", suffix=".log")
                os.close(descriptor)
                self.path = Path(name)
            file = self.path.open("ab")
        except OSError as error:
            raise SettingsError(f"The server's log {self.path or ''} can't be written ({error.strerror}).") from error
        self._begin = file.tell()
        return file

    def said(self) -> str:
        """The end of what the newest start has said; nothing where there is no file."""
        if self.path is None:
            return ""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._begin, os.fstat(file.fileno()).st_size - TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def discard(self) -> None:
        """Removes a temporary file; a given one stays."""
        if self.path is not None and self.given is None:
            self.path.unlink(missing_ok=True)
            self.path = None
