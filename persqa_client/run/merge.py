"""Merges the runs over the shards of an input into one run, as if a single run had processed all rows."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path

from persqa_client.errors import SettingsError
from persqa_client.inputs.shards import Shard, parse_shard
from persqa_client.limits.open_files import raise_soft_limit
from persqa_client.storage.checkpoint import (
    Checkpoint,
    foreign_file_error,
    is_checkpoint,
    merge_folders,
    read_checkpoint,
    read_run_file,
)
from persqa_client.storage.finished import FinishedResults, KeptLines, UnfinishedRun
from persqa_client.storage.finished_writers import MergeWriter, is_merge_finishing
from persqa_client.storage.listing import is_listed
from persqa_client.storage.recovery import find_changed_setting
from persqa_client.storage.run_files import RunFiles, RunInUse, find_run_beside
from persqa_client.storage.shard_outputs import SHARD, expand_shard_patterns
from persqa_client.storage.tally import Tally
from persqa_client.types import Json

# In the identity of a merge that lacks shards.
SHARDS = "shards"
# Open files of a shard: its lock, output, failure file, and each segment of its details.
FILES_PER_SHARD = 3
OTHER_FILES = 64
# Questions between reports of the progress; missing shards that a message names.
QUESTIONS_PER_REPORT, MAX_NAMED = 10_000, 8
# Members of run files whose texts are put together.
JOINED = ("warnings", "notes", "found")


@dataclass(frozen=True, slots=True)
class ShardRun:
    shard: Shard
    results: FinishedResults

    @property
    def output(self) -> Path:
        return self.results.files.output

    @property
    def settings(self) -> Json:
        return settings_of(self.results.run.identity)


@dataclass(frozen=True, slots=True)
class UnfinishedShard:
    output: Path
    shard: Shard
    settings: Json
    is_running: bool = False

    @property
    def reason(self) -> str:
        return f"{self.output} is {'still being written' if self.is_running else 'not finished'}"


@dataclass(frozen=True, slots=True)
class MergeReport:
    files: RunFiles
    tally: Tally
    count: int
    # Shards that were left out, and why.
    left_out: dict[int, str]


def merge_runs(
    outputs: Sequence[Path], target: Path, *, partial: bool = False, tell: Callable[[int], None] = lambda done: None
) -> MergeReport:
    """Merges finished runs into a new one with the output ``target``. ``tell`` gets the number of written questions.

    ``partial``: whether shards may be missing or unfinished. Raises SettingsError and StorageError, before anything is
    written if the runs do not fit together.
    """
    files = RunFiles.for_output(target)
    outputs = leave_out_companions(list(expand_shard_patterns(outputs)))
    if is_merge_finishing(files):
        return complete_merge(files, outputs, partial=partial)
    with ExitStack() as stack:
        runs, unfinished = open_shards(outputs, stack)
        for run in runs:
            if run.results.files.includes(target):
                raise SettingsError(f"{target} is one of the files of the shard {run.output}: choose another -o")
        check_fit(runs, unfinished)
        left_out = check_complete(runs, unfinished, partial=partial)
        check_paths(runs, target)
        tally = Tally()
        for run in runs:
            tally.add_tally(Tally.from_json(run.results.run.tally))
        merged = describe_merged(runs, tally, left_out)
        writer = stack.enter_context(MergeWriter(files, merged))
        for number, question in enumerate(merge_questions(runs), 1):
            writer.add(question)
            if number % QUESTIONS_PER_REPORT == 0:
                tell(number)
        if is_listed(merged.identity):
            writer.copy_listing(runs[0].results.files.listing)
        writer.copy_decisions([path for run in runs if (path := run.results.files.decisions).exists()])
        writer.finish()
    return MergeReport(files, tally, len(runs), left_out)


def complete_merge(files: RunFiles, outputs: Sequence[Path], *, partial: bool) -> MergeReport:
    """Completes a merge after a crash in the last step. Raises SettingsError if it was of other shards."""
    with FinishedResults(files) as results:
        run, merged, settings = results.run, results.members["merged"], settings_of(results.run.identity)
    shards = [parse_shard(each[SHARD]) for each in merged]
    missing = sorted(set(range(1, shards[0].total + 1)) - {shard.number for shard in shards})
    left_out = dict.fromkeys(missing, "not in the merge that was interrupted")
    advice = f"{files.output} has now the result of a merge that was interrupted"
    if left_out and not partial:
        raise SettingsError(f"{advice}, and {describe_left_out(left_out, shards[0].total)}: choose another -o")
    given = {output.name: read_run_file(RunFiles.for_output(output)) for output in outputs}
    for name in (Path(each["output"]).name for each in merged):
        found = given.get(name)
        if found is None or found.position != run.position or settings_of(found.identity) != settings:
            raise SettingsError(f"{advice}, of other shards than the given ones: choose another -o")
    return MergeReport(files, Tally.from_json(run.tally), len(merged), left_out)


def settings_of(identity: Json) -> Json:
    """The settings that all shards have in common."""
    return {name: value for name, value in identity.items() if name not in (SHARD, SHARDS)}


def leave_out_companions(outputs: Sequence[Path]) -> list[Path]:
    """Leaves out the failure files and so on of runs, which a pattern such as ``part-*.jsonl`` includes."""
    distinct = {(os.path.realpath(output.parent), output.name): output for output in reversed(outputs)}
    return [output for output in reversed(distinct.values()) if find_run_beside(output) is None]


def open_shards(outputs: Sequence[Path], stack: ExitStack) -> tuple[list[ShardRun], list[UnfinishedShard]]:
    """The finished runs by the number of their shard, and the others."""
    raise_soft_limit(OTHER_FILES + (1 + FILES_PER_SHARD) * len(outputs))
    runs: list[ShardRun] = []
    unfinished: list[UnfinishedShard] = []
    for output in outputs:
        files = RunFiles.for_output(output)
        try:
            results = stack.enter_context(FinishedResults(files))
        except (UnfinishedRun, RunInUse) as error:
            shard = find_unfinished_shard(files, is_running=isinstance(error, RunInUse))
            if shard is None:
                raise
            unfinished.append(shard)
            continue
        runs.append(ShardRun(shard_of(output, results.run.identity), results))
        if not results.has_all_details:
            raise SettingsError(
                f"{files.details} is missing or lacks questions, and the order of the rows is in it: restore it"
            )
    if not runs:
        reason = "; ".join(each.reason for each in unfinished)
        raise SettingsError(f"there is no finished shard to merge{f' ({reason})' if reason else ''}")
    return sorted(runs, key=attrgetter("shard", "output")), unfinished


def shard_of(output: Path, identity: Json) -> Shard:
    if SHARDS in identity:
        raise SettingsError(f"{output} is itself a merge that lacks shards: give the outputs that it was made of")
    if SHARD not in identity:
        raise SettingsError(f"{output} is no shard: its run had no --shard")
    return read_shard_of(RunFiles.for_output(output).run, identity)


def read_shard_of(path: Path, identity: Json) -> Shard:
    """Raises SettingsError if the file with this identity was changed."""
    try:
        return parse_shard(str(identity[SHARD]))
    except ValueError as error:
        raise foreign_file_error(path) from error


def find_unfinished_shard(files: RunFiles, *, is_running: bool = False) -> UnfinishedShard | None:
    checkpoint = read_checkpoint(files)
    if checkpoint is None or SHARD not in checkpoint.identity:
        return None
    identity = checkpoint.identity
    return UnfinishedShard(files.output, read_shard_of(files.checkpoint, identity), settings_of(identity), is_running)


def check_fit(runs: Sequence[ShardRun], unfinished: Sequence[UnfinishedShard]) -> None:
    """Raises SettingsError for shards of several runs, or one that is doubled."""
    first, total = runs[0], runs[0].shard.total
    shards: list[ShardRun | UnfinishedShard] = [*runs, *unfinished]
    shards.sort(key=attrgetter("shard", "output"))
    for each in shards:
        if each.shard.total != total:
            raise SettingsError(
                f"{first.output} is shard {first.shard} and {each.output} is shard {each.shard}: the shards of a run "
                "have one number of shards"
            )
    for before, after in pairwise(shards):
        if before.shard == after.shard:
            raise SettingsError(f"{before.output} and {after.output} are both shard {after.shard}: give only one")
    for each in shards:
        check_same_settings(first, each)
    for run in runs[1:]:
        check_same_input(first, run)


def check_complete(runs: Sequence[ShardRun], unfinished: Sequence[UnfinishedShard], *, partial: bool) -> dict[int, str]:
    """The shards that are left out, with the reasons. Raises SettingsError for one that lacks."""
    total = runs[0].shard.total
    given = {run.shard.number for run in runs}
    reasons = {each.shard.number: each.reason for each in (*find_started_shards(runs), *unfinished)}
    left_out = {number: reasons.get(number, "not given") for number in range(1, total + 1) if number not in given}
    if left_out and not partial:
        raise SettingsError(
            f"{describe_left_out(left_out, total)}: run the command with --shard {min(left_out)}/{total} until it "
            "ends, or merge the others with --partial"
        )
    return left_out


def find_started_shards(runs: Sequence[ShardRun]) -> Iterator[UnfinishedShard]:
    """Unfinished runs beside the given ones. They have no output yet, so a pattern does not match them."""
    first = runs[0]
    for folder in {run.output.parent for run in runs}:
        for path in filter(is_checkpoint, sorted(folder.glob("*.checkpoint"))):
            output = path.with_suffix("")
            try:
                shard = find_unfinished_shard(RunFiles.for_output(output))
            except SettingsError:
                continue
            if shard is not None and shard.shard.total == first.shard.total and shard.settings == first.settings:
                yield shard


def describe_left_out(left_out: dict[int, str], total: int) -> str:
    named = [f"shard {number}/{total} is missing ({reason})" for number, reason in left_out.items()]
    others = len(named) - MAX_NAMED
    return "; ".join(named if others <= 0 else [*named[:MAX_NAMED], f"and {others} others"])


def check_same_settings(first: ShardRun, other: ShardRun | UnfinishedShard) -> None:
    if (changed := find_changed_setting(first.settings, other.settings)) is not None:
        name, before, now = changed
        raise SettingsError(
            f"the setting {name} is {before} in {first.output} and {now} in {other.output}: the shards of a run "
            "have the same settings"
        )


def check_same_input(first: ShardRun, other: ShardRun) -> None:
    ends = first.results.run.position, other.results.run.position
    if ends[0].number != ends[1].number:
        shorter, longer = (first, other) if ends[0].number < ends[1].number else (other, first)
        raise SettingsError(
            f"{shorter.output} has read {min(end.number for end in ends):,} lines of the input and {longer.output} "
            f"{max(end.number for end in ends):,}: run the command of {shorter.output} again, with the same --limit"
        )
    if ends[0].digest != ends[1].digest:
        raise SettingsError(f"{first.output} and {other.output} have read different inputs: their rows differ")


def check_paths(runs: Sequence[ShardRun], target: Path) -> None:
    """Raises SettingsError if paths in the rows would not resolve from the folder of the new output."""
    folder = os.path.realpath(target.parent)
    for run in runs:
        folders = run.results.run.folders or {}
        is_bound = folders.get("paths") in ("relative", "resolvable") and folders.get("given") != "absolute"
        if is_bound and os.path.realpath(run.output.parent) != folder:
            raise SettingsError(
                f"the image paths in {run.output} are relative to its folder: write the merged output into it, with -o "
                f"{run.output.with_name(target.name)}"
            )


def describe_merged(runs: Sequence[ShardRun], tally: Tally, left_out: dict[int, str]) -> Checkpoint:
    """The data about the merged run in its files, apart from its questions."""
    first = runs[0].results
    identity = runs[0].settings
    if left_out:
        numbers = ", ".join(str(run.shard.number) for run in runs)
        identity = {**identity, SHARDS: f"{numbers} of {runs[0].shard.total}"}
    joined = {
        name: list(dict.fromkeys(text for run in runs for text in run.results.members.get(name) or ()))
        for name in JOINED
    }
    shards = [{"output": str(run.output), SHARD: str(run.shard), "seconds": run.results.run.seconds} for run in runs]
    return Checkpoint(
        identity=identity,
        stamp=first.run.stamp,
        mode="merge",
        position=first.run.position,
        folders=reduce(merge_folders, [run.results.run.folders for run in runs]),
        tally=tally.to_json(),
        seconds=round(sum(run.results.run.seconds for run in runs), 3),
        run={**first.members, **joined, "merged": shards},
    )


def merge_questions(runs: Sequence[ShardRun]) -> Iterator[KeptLines]:
    """Merges the questions in input order. Raises SettingsError for a question that is in two shards."""
    merged = heapq.merge(*(run.results.read_lines() for run in runs), key=attrgetter("task_id"))
    for task_id, questions in groupby(merged, key=attrgetter("task_id")):
        question, *more = questions
        if more:
            raise SettingsError(f"row {task_id.row} is in two shards: their files do not belong together")
        yield question
