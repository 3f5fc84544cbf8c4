"""Follows the timeline of a run for a served page. The file is read again only when somebody looks at the plots."""

from __future__ import annotations

from pathlib import Path

from persqa_client.report.plots import make_timeline_json
from persqa_client.report.rows import RunState, find_timeline
from persqa_client.run.timeline import read_timeline
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import Json

# Path, inode, size and time of the last change.
FileState = tuple[Path, int, int, int]


class FollowedTimeline:
    def __init__(self, output: Path) -> None:
        self._files = RunFiles.for_output(output)
        self._path = self._files.timeline
        self._seen: FileState | None = None
        self._read: FileState | None = None
        self._json: Json | None = None

    def look(self, state: RunState) -> bool:
        """Whether the file has changed since the last look."""
        before = self._seen
        self._path = find_timeline(self._files, state)
        try:
            found = self._path.stat()
            self._seen = (self._path, found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:
            self._seen = None
        return self._seen != before

    def describe(self) -> Json | None:
        """The series of the plots, as of the last look or later. None if nothing was recorded."""
        if self._seen != self._read:
            self._json = make_timeline_json(read_timeline(self._path))
            self._read = self._seen
        return self._json
