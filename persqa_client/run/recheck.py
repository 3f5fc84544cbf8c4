"""Applies this version's cleaning, repairs and checks to the raw answers of a finished run. Sends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from persqa_client.answers.doubts import find_doubts
from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.config import VerifyChoice
from persqa_client.errors import RowError, SettingsError
from persqa_client.inputs.files import name_counted_by
from persqa_client.inputs.rows import parse_images
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.finished_run import FinishedPlan, KeptAnswers, Lack
from persqa_client.run.pipeline import AskHistory, make_answer_failure
from persqa_client.run.verification import DOUBTS, NOT_VERIFIED, needs_verification
from persqa_client.storage.decisions import Decisions, Subject, get_decided_text, read_decisions
from persqa_client.storage.finished import FinishedResults, KeptQuestion
from persqa_client.storage.finished_writers import ResultsRewriter
from persqa_client.storage.listing import ListedFiles, is_listed
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Completion, Problem, Row, Task, TaskId, Usage

# What a recheck changes: a failed question is accepted, an accepted answer is rejected, or the text ("altered"), the
# code ("recoded"), or the doubts or steps ("refreshed") change.
ChangeKind = Literal["accepted", "rejected", "altered", "recoded", "refreshed"]
# Examples per kind and code.
MAX_EXAMPLES = 3
# Steps that are not made by cleaning and repair.
HELPERS = ("constraint", "prefill")
# Problems that were not found in the text, but by asking the model; they stay.
ASKED_PROBLEMS: dict[str, Problem] = {NOT_VERIFIED.code: NOT_VERIFIED}
# Doubts that come from what the run asked, not from the text.
RUN_DOUBTS = frozenset(("re_asked", *(code for codes in DOUBTS.values() for code in codes)))


class Change(NamedTuple):
    kind: ChangeKind
    # For "altered" the texts before and after, else the codes; a code is empty without a failure.
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
    # The file that the row was made of; empty for a row of the user.
    file: str = ""


@dataclass(slots=True)
class RecheckReport:
    tally: Tally
    questions: int = 0
    changes: Counter[tuple[ChangeKind, str]] = field(default_factory=Counter)
    examples: dict[tuple[ChangeKind, str], list[Example]] = field(default_factory=dict)
    lacks: Counter[Lack] = field(default_factory=Counter)
    # Decisions of people about the answers: those about the present text, and those about another one.
    applied_decisions: int = 0
    stale_decisions: int = 0
    # What the numbers of rows count, see ``Row``.
    counted_as: str = "line"

    def add(self, change: Change, before: Outcome, after: Outcome, file: str) -> None:
        key = (change.kind, change.code)
        self.changes[key] += 1
        examples = self.examples.setdefault(key, [])
        if len(examples) < MAX_EXAMPLES:
            old, new = (one.answer if isinstance(one, Record) else one.raw or "" for one in (before, after))
            row = after.task_id.row
            examples.append(Example(row, old, new, file) if change.kind == "altered" else Example(row, new, file=file))


def recheck_run(output: Path, *, names: Path | None = None, dry_run: bool = False) -> RecheckReport:
    """Raises SettingsError if the run can't be rechecked, and StorageError if the files can't be written."""
    with FinishedResults(RunFiles.for_output(output)) as results:
        plan = FinishedPlan(results.run, results.members, names)
        report = RecheckReport(Tally.from_json(results.run.tally), counted_as=name_counted_by(results.run.stamp))
        decisions = read_decisions(output)
        has_decisions = len(decisions) > 0
        listed = ListedFiles(results.files.listing) if is_listed(results.run.identity) else None
        opened: AbstractContextManager[ResultsRewriter | None]
        opened = nullcontext() if dry_run else ResultsRewriter(results)
        with opened as files:
            for kept, row in iter_questions(results, plan):
                file = listed.find(kept.task_id.row) if listed is not None else ""
                after = judge_question(kept, row, plan, report, files, results.files, file)
                if has_decisions:
                    count_decisions(decisions, kept, after, plan.recipe.image_key, report)
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
    file: str,
) -> Outcome:
    """The outcome now. Writes it if ``files`` are given. ``file``: that the row was made of."""
    answers = plan.read_answers(kept, row)
    if isinstance(answers.outcome, Record) and dump_compact(answers.outcome.answer)[1:-1] not in kept.line:
        raise SettingsError(
            f"the answer to row {kept.task_id.row} in {paths.output} is not the one in {paths.details.name}: "
            "restore both files as the run left them, or do without the recheck"
        )
    report.questions += 1
    if answers.lack is not None:
        report.lacks[answers.lack] += 1
    after = judge_answers(answers, plan.direct_maker, plan.max_tokens, plan.recipe.verify, file, report.counted_as)
    change = compare_outcomes(answers.outcome, after)
    if change is None and answers.lack is None and has_other_doubts(answers.outcome, after):
        change = Change("refreshed", "", "")
    if change is None:
        if files is not None:
            files.keep(kept)
        return answers.outcome
    report.add(change, answers.outcome, after, file)
    if files is None:
        report.tally.replace(answers.outcome, after)
        return after
    line = plan.restore_line(kept)
    files.replace(answers.outcome, after, line, plan.render(line, after))
    report.tally = files.tally
    return after


def count_decisions(
    decisions: Decisions, kept: KeptQuestion, outcome: Outcome, image_key: str, report: RecheckReport
) -> None:
    """A decision about a text that the question no longer has stays in its file, and does not apply."""
    try:
        images = parse_images(load_object(kept.line), image_key)
    except (RowError, ValueError):
        images = ()
    asked = outcome if isinstance(outcome, Record) else outcome.task
    subject = Subject(kept.task_id, images, asked.question if asked is not None else "")
    text = get_decided_text(outcome)
    found = decisions.find(subject, text)
    report.applied_decisions += found is not None and not found.is_empty
    report.stale_decisions += found is None and decisions.find_stale(subject, text) is not None


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


def judge_answers(
    answers: KeptAnswers,
    maker: TaskMaker,
    max_tokens: int,
    verify: VerifyChoice = "off",
    file: str = "",
    counted_as: str = "line",
) -> Outcome:
    """The outcome of the first answer that passes, or a failure with the problem of the last one.

    ``maker`` makes tasks without a surrogate; ``max_tokens`` is the run's limit, for answers that were stored without
    their own; ``verify`` says which answers the run asked the model about. Messages name ``file``, or the row by its
    number, see ``Row.counted_as``.
    """
    if answers.task is None or not answers.raws:
        return answers.outcome
    task = replace(rebuild_task(maker, answers.outcome.task_id, answers.task), file=file, counted_as=counted_as)
    judged: list[RawAnswer] = []
    problem: Problem | None = None
    for number, raw in enumerate(answers.raws):
        completion = restore_completion(raw)
        answer = parse_answer(completion, task)
        problem = check_answer(completion, answer, task, raw.max_tokens or max_tokens)
        problem = problem or ASKED_PROBLEMS.get(raw.problem or "")
        helpers = [step for step in raw.steps if step in HELPERS]
        code = problem.code if problem is not None else None
        judged.append(raw._replace(problem=code, steps=(*helpers, *answer.steps)))
        if problem is None:
            raws = (*judged, *answers.raws[number + 1 :])
            return accept_answer(answers.outcome, task, answer.text, raws, number, verify)
    assert problem is not None
    return reject_answers(answers.outcome, task, problem, tuple(judged))


def restore_completion(raw: RawAnswer) -> Completion:
    return Completion(
        raw.text,
        raw.finish_reason,
        Usage(raw.prompt_tokens, raw.completion_tokens),
        raw.model,
        raw.refusal,
        raw.sent_finish_reason,
    )


def rebuild_task(maker: TaskMaker, task_id: TaskId, asked: AskedTask) -> Task:
    """The task, with this version's prompt and checks."""
    row = Row(task_id.row, b"", (), question=asked.question, tag=asked.tag, category=asked.category)
    task = replace(
        maker.make_task(row, task_id),
        kind=asked.kind,
        seed=asked.seed,
        strategy=asked.strategy,
        question_id=asked.question_id,
        surrogate=asked.surrogate,
    )
    if asked.surrogate is None:
        return task
    question = asked.question.replace(asked.tag, asked.surrogate)
    category = asked.category or maker.category
    introduction = task.introduction.replace(asked.tag, asked.surrogate)
    description = task.description.replace(asked.tag, asked.surrogate)
    system, prompt = maker.steering.build(question, asked.tag, asked.surrogate, category, None, introduction)
    return replace(task, system=system, prompt=prompt, introduction=introduction, description=description)


def accept_answer(
    before: Outcome, task: Task, text: str, raws: tuple[RawAnswer, ...], number: int, verify: VerifyChoice
) -> Record:
    chosen = raws[number]
    verification = None
    if isinstance(before, Record) and before.answer == text:
        # How often it was asked, and what the model said of it, is as before.
        doubts = tuple(code for code in before.doubts if code in RUN_DOUBTS)
        doubts += find_doubts(text, task, chosen.steps, None)
        is_re_asked = "re-ask" in before.made_good_by
        verification = before.verification
    else:
        doubts = find_doubts(text, task, chosen.steps, raws[0].problem if number > 0 else None)
        is_re_asked = number > 0 or before.asks > len(raws)
        # The model verified another text, or none.
        if needs_verification(verify, doubts):
            doubts += DOUBTS["failed"]
    return Record(
        task_id=before.task_id,
        kind=task.kind,
        tag=task.tag,
        question=task.question,
        answer=text,
        raw=chosen.text,
        seed=task.seed,
        model=chosen.model or (before.model if isinstance(before, Record) else None),
        finish_reason=chosen.sent_finish_reason or chosen.finish_reason,
        usage=before.usage,
        attempts=before.attempts,
        asks=before.asks,
        made_good_by=(*chosen.steps, *(["re-ask"] if is_re_asked else [])),
        refused=before.refused,
        strategy=task.strategy,
        question_id=task.question_id,
        category=task.category,
        pictures=before.pictures,
        doubts=doubts,
        verification=verification,
        surrogate=task.surrogate,
        raws=raws,
    )


def reject_answers(before: Outcome, task: Task, problem: Problem, raws: tuple[RawAnswer, ...]) -> Failure:
    last = raws[-1]
    raw = last.refusal or last.text
    history = AskHistory(
        attempts=before.attempts,
        usage=before.usage,
        asks=before.asks,
        first_code=before.refused,
        last_text=raw,
        verification=before.verification,
        raws=list(raws),
        pictures=before.pictures,
    )
    return make_answer_failure(task, problem, history)
