"""Finds the outputs of runs over shards, and distinguishes the files of such runs from other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import glob, has_magic
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import read_checkpoint, read_run_file
from persqa_client.storage.run_files import RunFiles, find_run_beside

# Member of the identity of a run over a shard.
SHARD = "shard"


class ShardFiles:
    """Recognizes the outputs of runs over shards, finished or not, and what is beside them. Caches the outputs."""

    def __init__(self) -> None:
        self._are_shards: dict[Path, bool] = {}

    def includes(self, path: Path) -> bool:
        output = find_run_beside(path) or path
        if output not in self._are_shards:
            self._are_shards[output] = is_shard_output(output)
        return self._are_shards[output]


def is_shard_output(output: Path) -> bool:
    files = RunFiles.for_output(output)
    for read in (read_run_file, read_checkpoint):
        with suppress(SettingsError):
            run = read(files)
            if run is not None:
                return SHARD in run.identity
    return False


def expand_shard_patterns(outputs: Iterable[Path]) -> Iterator[Path]:
    """Patterns that the shell has not expanded, such as ``'part-*.jsonl'``, in place of which come their outputs of
    shards. Other paths stay, also patterns without any.
    """
    for output in outputs:
        found: list[Path] = []
        if has_magic(str(output)) and not output.exists():
            found = [path for path in map(Path, sorted(glob(str(output)))) if is_shard_output(path)]
        yield from found or [output]
