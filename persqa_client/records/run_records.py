"""The answers of a run as records, in the order of its files. Reads one row at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.json_members import cut_last_member
from persqa_client.jsonl import dump_compact
from persqa_client.outcomes import Failure, Record
from persqa_client.records.data_record import Checks, DataRecord, Provenance, SourceLine
from persqa_client.report.row_reader import DEFAULT_IDENTITY, WrittenRow
from persqa_client.report.rows import (
    ReadPaths,
    RunReader,
    RunState,
    choose_files,
    iter_lines,
    read_identity,
    refuse_repeated_outputs,
)
from persqa_client.run.image_roots import find_image_roots
from persqa_client.storage.checkpoint import find_recorded_roots, read_checkpoint
from persqa_client.storage.decisions import get_decided_text
from persqa_client.storage.details import open_file
from persqa_client.storage.journal import read_journal
from persqa_client.storage.records import render_record
from persqa_client.storage.run_files import RunFiles, remove_suffix
from persqa_client.types import Json


class OutputExtent(NamedTuple):
    """Identity of the output file when the run was opened, and the numbers of its rows and of failed rows.

    ``waiting``: accepted answers of an unfinished run that no row of the output has, because their row or an earlier
    one is open.
    """

    file: tuple[int, ...]
    rows: int
    failures: int
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run on disk, finished or not. ``name`` is unique among the runs that are read together.

    Each pass reads the rows that were there when the run was opened, also if the run has gone on or ended since.
    """

    output: Path
    name: str
    state: RunState
    identity: Json
    # Where relative paths of images start.
    roots: tuple[Path, ...]
    paths: ReadPaths
    extent: OutputExtent

    @property
    def settings_digest(self) -> str:
        return sha256(dump_compact(dict(sorted(self.identity.items())))).hexdigest()[:16]

    def count_failures(self) -> int:
        """The number of questions in the failure file."""
        return self.extent.failures

    def iter_records(self) -> Iterator[DataRecord]:
        """Can be called again for a second pass.

        Raises SettingsError if a file is not one of a run, and if the output is another one than when it was opened.
        """
        # The end of a run renames its files.
        paths, _ = choose_files(RunFiles.for_output(self.output))
        if identify_output(paths.output, self.state) != self.extent.file:
            raise changed_output_error(self.output)
        digest = self.settings_digest
        rows = 0
        for row in islice(RunReader(self.identity, paths).iter_accepted(), self.extent.rows):
            yield make_data_record(row, self, digest)
            rows += 1
        if rows < self.extent.rows:
            raise changed_output_error(self.output)

    def iter_rejected(self) -> Iterator[DataRecord]:
        """Failed questions with the last answer that the run rejected: what a person may accept, or mend.

        Those without an answer, or without details, are left out. Raises SettingsError as ``iter_records`` does.
        """
        paths, _ = choose_files(RunFiles.for_output(self.output))
        digest = self.settings_digest
        for row in islice(RunReader(self.identity, paths).iter_failures(), self.extent.failures):
            outcome = row.row.outcome
            if isinstance(outcome, Failure) and outcome.task is not None and get_decided_text(outcome):
                yield make_rejected_record(row, outcome, self, digest)


def identify_output(path: Path, state: RunState) -> tuple[int, ...]:
    """The output of an unfinished run is the same file when it has grown or was renamed."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return ()
    file = (status.st_dev, status.st_ino)
    return file if state == "unfinished" else (*file, status.st_size, status.st_mtime_ns)


def changed_output_error(output: Path) -> SettingsError:
    return SettingsError(f"{output} was changed while it was read: wait until nothing writes it, and try again")


def open_recorded_runs(outputs: list[Path]) -> list[RecordedRun]:
    """Raises SettingsError if there is no such output, and if an output is given twice."""
    refuse_repeated_outputs(outputs)
    runs: list[RecordedRun] = []
    for output in outputs:
        runs.append(open_recorded_run(output, [run.name for run in runs]))
    return runs


def open_recorded_run(output: Path, taken: list[str]) -> RecordedRun:
    """``taken``: names of other runs. Opened again if its files get other names meanwhile, as at the end of a run."""
    files = RunFiles.for_output(output)
    while True:
        chosen = choose_files(files)
        try:
            run = describe_recorded_run(output, taken, *chosen)
        except SettingsError:
            if choose_files(files) == chosen:
                raise
            continue
        if choose_files(files) == chosen:
            return run


def describe_recorded_run(output: Path, taken: list[str], paths: ReadPaths, state: RunState) -> RecordedRun:
    files = RunFiles.for_output(output)
    known = read_identity(files)
    if state == "finished" and known is None:
        state = "unknown"
    identity = DEFAULT_IDENTITY | (known or {})
    roots = find_image_roots(None, output.parent, find_recorded_roots(output))
    name = choose_run_name(remove_suffix(output.name), taken)
    rows, failures = (sum(1 for _ in iter_lines(path)) for path in (paths.output, paths.failed))
    waiting = count_waiting(files) if state == "unfinished" else 0
    extent = OutputExtent(identify_output(paths.output, state), rows, failures, waiting)
    return RecordedRun(output, name, state, identity, roots, paths, extent)


def count_waiting(files: RunFiles) -> int:
    """Accepted answers in the journal, without those that were written to the output since the last checkpoint.

    While the run goes on, the number is rough: the files are not read at the same moment.
    """
    checkpoint = read_checkpoint(files)
    # A run that was killed in its last step has written all rows, and may not have removed its journal.
    if checkpoint is None or checkpoint.phase == "finishing":
        return 0
    try:
        entries = read_journal(files, checkpoint.generation)
        accepted = {entry.outcome.task_id for entry in entries if isinstance(entry.outcome, Record)}
    except SettingsError:
        # The run removes old generations. The rows of the output can be read all the same.
        return 0
    with open_file(files.partial) as output:
        output.seek(checkpoint.lengths.output)
        written = sum(1 for line in output if line.endswith(b"\n"))
    return max(0, len(accepted) - written)


def choose_run_name(name: str, taken: list[str]) -> str:
    number, chosen = 2, name
    while chosen in taken:
        chosen, number = f"{name}-{number}", number + 1
    return chosen


def make_rejected_record(failed: WrittenRow, failure: Failure, run: RecordedRun, settings: str) -> DataRecord:
    """Makes the record of a rejected answer, with the line that the output would have if it had been accepted."""
    record = accept_rejected(failure)
    identity = run.identity
    line = render_record(
        cut_last_member(failed.line.rstrip(b"\r\n"), "error"),
        record,
        output_key=identity["output-key"],
        style=identity.get("output-style", "qa"),
        details=bool(identity.get("details")),
    )
    accepted = WrittenRow(line, failed.fields, replace(failed.row, outcome=record))
    made = make_data_record(accepted, run, settings)
    return replace(made, checks=replace(made.checks, problem=failure.code))


def accept_rejected(failure: Failure) -> Record:
    task = failure.task
    assert task is not None
    answer = get_decided_text(failure)
    return Record(
        task_id=failure.task_id,
        kind=task.kind,
        tag=task.tag,
        question=task.question,
        answer=answer,
        raw=answer,
        seed=task.seed,
        model=failure.raws[-1].model if failure.raws else None,
        usage=failure.usage,
        attempts=failure.attempts,
        asks=failure.asks,
        refused=failure.refused,
        strategy=task.strategy,
        question_id=task.question_id,
        category=task.category,
        pictures=failure.pictures,
        verification=failure.verification,
        surrogate=task.surrogate,
        raws=failure.raws,
    )


def make_data_record(accepted: WrittenRow, run: RecordedRun, settings: str) -> DataRecord:
    row, outcome = accepted.row, accepted.row.outcome
    assert isinstance(outcome, Record)
    task_id = row.task_id
    known = task_id is not None
    provenance = Provenance(
        run=run.name,
        row=task_id.row if task_id is not None else None,
        question_number=task_id.question if task_id is not None else 0,
        line=row.line,
        model=outcome.model or run.identity.get("model"),
        settings=settings,
        seed=outcome.seed if known else None,
        question_id=outcome.question_id,
        prompt_tokens=outcome.usage.prompt,
        completion_tokens=outcome.usage.completion,
        raw=outcome.raw if known else None,
    )
    reference_key = run.identity.get("reference-key")
    verdict = outcome.verification.verdict if outcome.verification is not None else None
    return DataRecord(
        id=make_record_id(provenance, accepted.fields.get("id")),
        images=row.images,
        question=outcome.question,
        answer=outcome.answer,
        kind=outcome.kind,
        tags=(outcome.tag,),
        category=outcome.category,
        checks=Checks(outcome.made_good_by, outcome.refused, outcome.doubts, verdict),
        provenance=provenance,
        source=SourceLine(
            accepted.line.rstrip(b"\r\n"),
            run.identity["image-key"],
            run.identity["output-key"],
            outcome.answer,
            reference_key,
        ),
        reference=read_own_text(accepted, reference_key),
        description=read_own_text(accepted, run.identity.get("describe-key")),
    )


def read_own_text(accepted: WrittenRow, key: str | None) -> str | None:
    text = accepted.fields.get(key) if key is not None else None
    return text if isinstance(text, str) and text.strip() else None


def make_record_id(provenance: Provenance, own: object) -> str:
    """The row's own id, or its run and input line; with the question's number from the second question on.

    A row whose input line is not known has the number of its output line.
    """
    place = f"{provenance.row}" if provenance.row is not None else f"o{provenance.line}"
    has_own = isinstance(own, str | int) and not isinstance(own, bool) and own != ""
    name = str(own) if has_own else f"{provenance.run}-{place}"
    return f"{name}-{provenance.question_number + 1}" if provenance.question_number else name
