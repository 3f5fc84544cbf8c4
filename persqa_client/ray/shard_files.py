"""The outputs of the shards of a run, beside its own output, and which of them are finished or merged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.inputs.shards import MAX_SHARDS, Shard
from persqa_client.storage.checkpoint import FinishedRun, read_run_file, read_run_members
from persqa_client.storage.run_files import RunFiles, remove_suffix
from persqa_client.types import Json

NUMBERS = re.compile(r"\.shard-(\d+)-of-(\d+)(?=\.|$)")
MERGED = "merged"


def shard_output(output: Path, shard: Shard) -> Path:
    """Beside the output, so that the image paths in its rows resolve from the same folder.

    >>> shard_output(Path("qa.jsonl"), Shard(3, 16))
    PosixPath('qa.shard-003-of-016.jsonl')
    """
    stem = remove_suffix(output.name)
    width = max(3, len(str(shard.total)))
    return output.with_name(f"{stem}.shard-{shard.number:0{width}}-of-{shard.total:0{width}}{output.name[len(stem) :]}")


def list_shards(total: int) -> Iterator[Shard]:
    return (Shard(number, total) for number in range(1, total + 1))


def find_begun_shards(output: Path) -> int | None:
    """The number of shards of the run with this output; None if none has begun. Raises SettingsError if shards of two
    runs lie there.
    """
    start = f"{remove_suffix(output.name)}.shard-"
    try:
        names = [path.name for path in output.parent.iterdir() if path.name.startswith(start)]
    except OSError:
        return None
    totals = {int(found[2]) for name in names if (found := NUMBERS.match(name[len(start) - len(".shard-") :]))}
    if len(totals) > 1:
        numbers = " and ".join(map(str, sorted(totals)))
        raise SettingsError(f"beside {output} lie shards of runs with {numbers} shards: move those of one of them")
    return totals.pop() if totals else None


def choose_shards(wanted: int | None, begun: int | None, workers: int, output: Path) -> int:
    """The number of shards of a run: as many as at its first start, else four for each worker, so that the last ones
    end at about the same time. Raises SettingsError.
    """
    if wanted is not None and not 1 <= wanted <= MAX_SHARDS:
        raise SettingsError(f"--shards must be from 1 to {MAX_SHARDS:,}, and not {wanted:,}.")
    if begun is None:
        return wanted or min(MAX_SHARDS, 4 * workers)
    if wanted is not None and wanted != begun:
        raise SettingsError(
            f"the run of {output} was begun with {begun} shards, and --shards is {wanted}: leave out --shards to go "
            "on, or choose another -o"
        )
    return begun


class MergedShard(NamedTuple):
    """Entry of a shard in the run file of a merge. ``seconds`` change if the shard is processed again."""

    output: str
    seconds: float


def read_merged(files: RunFiles) -> list[MergedShard] | None:
    """The shards of which the output was merged; None if there is no finished output. Raises SettingsError if it has
    another run.
    """
    if read_run_file(files) is None:
        return None
    merged: list[Json] | None = read_run_members(files).get(MERGED)
    if merged is None:
        raise SettingsError(
            f"{files.output} has a run without shards: leave out --engine ray to go on with it, or choose another -o"
        )
    return [MergedShard(Path(each["output"]).name, each["seconds"]) for each in merged]


def is_merge_of(merged: list[MergedShard], shards: dict[Path, FinishedRun]) -> bool:
    """Whether the merge has the present results of these shards."""
    present = {output.name: finished.seconds for output, finished in shards.items()}
    return dict(merged) == present
