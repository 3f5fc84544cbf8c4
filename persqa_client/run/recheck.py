"""Applies today's cleaning, repairs and checks to the raw answers that a finished run kept. Sends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.run.finished_plan import FinishedPlan
from persqa_client.run.kept_answers import Lack
from persqa_client.storage.finished import FinishedResults, KeptQuestion
from persqa_client.storage.rewriting import ResultsRewriter
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Row, TaskId

# Of a question: its answer is accepted or rejected now, its accepted text, its code, or its doubts or steps are others.
ChangeKind = Literal["accepted", "rejected", "altered", "recoded", "refreshed"]
# Examples per kind and code.
MAX_EXAMPLES = 3


class Change(NamedTuple):
    kind: ChangeKind
    # Before and after, for "altered" the texts, else the codes; empty without a failure.
    before: str
    after: str

    @property
    def code(self) -> str:
        return {"accepted": self.before, "rejected": self.after, "altered": "", "refreshed": ""}.get(
            self.kind, f"{self.before} → {self.after}"
        )


class Example(NamedTuple):
    row: int
    text: str
    new_text: str | None = None


@dataclass(slots=True)
class RecheckReport:
    tally: Tally
    questions: int = 0
    changes: Counter[tuple[ChangeKind, str]] = field(default_factory=Counter)
    examples: dict[tuple[ChangeKind, str], list[Example]] = field(default_factory=dict)
    lacks: Counter[Lack] = field(default_factory=Counter)

    def add(self, change: Change, row: int, before: Outcome, after: Outcome) -> None:
        key = (change.kind, change.code)
        self.changes[key] += 1
        examples = self.examples.setdefault(key, [])
        if len(examples) < MAX_EXAMPLES:
            texts = [one.answer if isinstance(one, Record) else one.raw or "" for one in (before, after)]
            examples.append(Example(row, *texts) if change.kind == "altered" else Example(row, texts[1]))


def recheck(output: Path, *, names: Path | None = None, dry_run: bool = False) -> RecheckReport:
    """Raises SettingsError if the run can't be rechecked, and StorageError if the files can't be written."""
    with FinishedResults(RunFiles.for_output(output)) as results:
        plan = FinishedPlan(results.run, results.members, names)
        report = RecheckReport(Tally.from_json(results.run.tally))
        opened: AbstractContextManager[ResultsRewriter | None]
        opened = nullcontext() if dry_run else ResultsRewriter(results)
        with opened as files:
            for kept, row in iter_questions(results, plan):
                judge_question(kept, row, plan, report, files, results.files)
            if files is not None and report.changes:
                files.finish()
        return report


def judge_question(
    kept: KeptQuestion,
    row: Row | None,
    plan: FinishedPlan,
    report: RecheckReport,
    files: ResultsRewriter | None,
    paths: RunFiles,
) -> None:
    answers = plan.read_answers(kept, row)
    if isinstance(answers.outcome, Record) and dump_compact(answers.outcome.answer)[1:-1] not in kept.line:
        raise SettingsError(
            f"the answer to row {kept.task_id.row} in {paths.output} is not the one in {paths.details.name}: "
            "restore both files as the run left them, or do without the recheck"
        )
    report.questions += 1
    if answers.lack is not None:
        report.lacks[answers.lack] += 1
    after = plan.judge(answers)
    change = compare_outcomes(answers.outcome, after)
    if change is None and answers.lack is None and has_other_doubts(answers.outcome, after):
        change = Change("refreshed", "", "")
    if change is None:
        if files is not None:
            files.keep(kept)
        return
    report.add(change, kept.task_id.row, answers.outcome, after)
    if files is None:
        report.tally.replace(answers.outcome, after)
        return
    line = plan.restore_line(kept)
    files.replace(answers.outcome, after, line, plan.render(line, after))
    report.tally = files.tally


def compare_outcomes(before: Outcome, after: Outcome) -> Change | None:
    if isinstance(before, Record):
        if isinstance(after, Failure):
            return Change("rejected", "", after.code)
        return Change("altered", before.answer, after.answer) if before.answer != after.answer else None
    if isinstance(after, Record):
        return Change("accepted", before.code, "")
    return Change("recoded", before.code, after.code) if before.code != after.code else None


def has_other_doubts(before: Outcome, after: Outcome) -> bool:
    if not isinstance(before, Record) or not isinstance(after, Record):
        return False
    return {*before.doubts} != {*after.doubts} or {*before.made_good_by} != {*after.made_good_by}


def iter_questions(results: FinishedResults, plan: FinishedPlan) -> Iterator[tuple[KeptQuestion, Row | None]]:
    """The questions, with their rows if the details do not have all questions."""
    if results.has_all_details:
        for kept in results.read_questions():
            yield kept, None
        return
    rows: list[Row | None] = []

    def read_tasks() -> Iterator[TaskId]:
        for task_id, row in plan.iter_tasks(results):
            rows[:] = [row]
            yield task_id

    for kept in results.read_questions(read_tasks()):
        yield kept, rows[0]
