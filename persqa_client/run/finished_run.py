"""Data that a finished run stored: its settings, its input, and for each question the outcome, raw answers and input
line.

Runs of earlier versions have no details. What is kept of their questions is in the output and the failure file: the
last rejected text, and the raw text of an accepted answer if the run had ``--details``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from persqa_client.answers.parse import SENTENCE_END
from persqa_client.config import Endpoint, Recipe, build_settings
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RowError, SettingsError
from persqa_client.inputs.listed import is_same_place
from persqa_client.inputs.opening import open_inputs, read_as_before
from persqa_client.inputs.patterns import find_in_folder
from persqa_client.inputs.sources import read_named_lines
from persqa_client.json_members import cut_last_member
from persqa_client.jsonl import load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record
from persqa_client.questions.categories import CATEGORIES
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.image_roots import make_path_writers
from persqa_client.run.pipeline import describe_task
from persqa_client.run.plan import RunPlan
from persqa_client.run.run_input import connect_listing
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.storage.checkpoint import FinishedRun
from persqa_client.storage.details import outcome_from_details
from persqa_client.storage.finished import FinishedResults, KeptQuestion
from persqa_client.storage.listing import is_listed
from persqa_client.storage.numbered_files import OwnFiles
from persqa_client.stores.paths import is_object_url
from persqa_client.types import START_POSITION, BadRow, Json, ProblemCode, Row, Strategy, Task, TaskId

# What is missing of a question: the raw text of an accepted answer, earlier rejected answers, or what a check needs.
Lack = Literal["raw", "earlier", "question", "ending"]
ANSWER_CODES = frozenset(get_args(ProblemCode))
# Codes that depend on how the answer ended, which runs without details did not store.
ENDING_CODES = frozenset(("truncated", "content_filter", "unfinished"))


class FinishedPlan:
    """The settings of a finished run, as far as its answers depend on them. Raises SettingsError."""

    def __init__(self, run: FinishedRun, members: Json, names: Path | None) -> None:
        self._run = run
        self._members = members
        settings = restore_settings(run.identity, names)
        self.recipe = settings.recipe
        # The questions of a user's bank file are not stored.
        has_own_bank = run.identity["bank"] not in CATEGORIES
        drawn = settings.model_copy(update={"recipe": self.recipe.model_copy(update={"questions": 1})})
        self._plan = RunPlan(drawn if has_own_bank else settings).with_settings(settings)
        check_names_unchanged(run.identity, self._plan.identity())
        self.render = self._plan.make_renderer()
        # The run's token limit, for answers that were stored without their own limit.
        self.max_tokens = settings.sampling.max_tokens
        # Makes tasks without a surrogate; the surrogate of the request is added.
        self.direct_maker = self._make_task_maker("direct")
        self._lines = WrittenLineReader(
            self._make_task_maker(members.get("strategy", "direct")),
            self.recipe.output_key,
            answer_only=self.recipe.output_style == "answer",
            has_meta=self.recipe.details,
            has_bank=not has_own_bank and run.identity.get("bank-digest") in (None, self._plan.bank.digest),
        )

    def _make_task_maker(self, strategy: Strategy) -> TaskMaker:
        had_reference = bool({"reference", "reference-key"} & self._run.identity.keys())
        return replace(
            self._plan.make_task_maker(strategy),
            asked_before=True,
            may_have_reference=had_reference,
            may_have_drawn_box=self.recipe.box == "drawn",
        )

    def iter_tasks(self, results: FinishedResults) -> Iterator[tuple[TaskId, Row | None]]:
        """The tasks of the input up to the end of the run."""
        name, end = str(self._members.get("input")), self._run.position
        try:
            names = self._members.get("inputs") or [name]
            folders = self._members.get("folders") or {"paths": "as-given", "image_roots": []}
            places = list_places(results.files.output.parent, folders)
            is_own = OwnFiles(results.files).includes
            paths = [find_input(each, places, is_own) for each in names]
            listing = results.files.listing if is_listed(self._run.identity) else None
            opened = open_inputs(
                paths,
                self.recipe.image_key,
                leave_out=is_own,
                lists_images=listing is not None,
                row_layout=self.recipe.row_layout,
                fetches=True,
            )
            source = read_as_before(
                connect_listing(opened, lambda: listing, end.number), self._run.stamp, end, self.recipe.image_key
            )
            is_same = source.digest_at(end) == end.digest
        except (SettingsError, OSError) as error:
            raise SettingsError(f"{missing_input(results)}, but the input {name} can't be read: {error}") from error
        if not is_same:
            raise SettingsError(f"{missing_input(results)}, but the input {name} has changed: restore it")
        writers = make_path_writers(folders["paths"], folders["image_roots"], results.files.output)
        reader = self._plan.make_row_reader(paths=writers)
        for named in read_named_lines(source, START_POSITION):
            line, position, row_name, path = named
            if position.number > end.number:
                return
            if line.strip() and reader.includes(named):
                row = reader.parse(position.number, line, row_name, path)
                for task_id in reader.task_ids(row):
                    yield task_id, None if isinstance(row, BadRow) else row

    def read_answers(self, kept: KeptQuestion, row: Row | None) -> KeptAnswers:
        try:
            answers = read_details(kept.details) if kept.details else None
            has_task = answers is not None and (answers.task is not None or row is None or answers.lack is None)
            return answers if answers is not None and has_task else self._lines.read(kept, row)
        except (ValueError, RowError) as error:
            raise SettingsError(f"row {kept.task_id.row} of the run can't be read: {error}") from error

    def restore_line(self, kept: KeptQuestion) -> bytes:
        try:
            return restore_input_line(kept, output_key=self.recipe.output_key, has_meta=self.recipe.details)
        except ValueError as error:
            raise SettingsError(f"row {kept.task_id.row} of the run can't be read: {error}") from error


def restore_settings(identity: Json, names: Path | None) -> RunSettings:
    """The settings of a run from its identity, with a placeholder endpoint."""
    flags = {name: identity[key] for name in Recipe.model_fields if (key := name.replace("_", "-")) in identity}
    # The files of the names and of the reference image are not stored.
    flags |= {"shard": identity.get("shard"), "names": names, "reference": None}
    flags |= {"max_tokens": identity["max-tokens"], "seed": identity["seed"]}
    if flags["bank"] not in CATEGORIES:
        flags["bank"] = "human"
    endpoint = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=identity["model"])
    return make_run_settings([endpoint], flags)


def check_names_unchanged(before: Json, now: Json) -> None:
    old, new = before.get("names"), now.get("names")
    if old == new:
        return
    if old is None:
        raise SettingsError("--names: this run had no real names; leave the flag out")
    if new is None:
        raise SettingsError(f"this run had --names ({old}): give the same file again with --names")
    raise SettingsError(f"--names: this run had {old}, and this is {new}: give the file of the run")


def list_places(output_folder: Path, folders: Json) -> list[str]:
    """The folders where a relative input may start: the working directory of the run, this one, the output's folder."""
    own = folders.get("working_directory", "")
    return ["" if is_same_place(own, os.curdir) else own, "", os.fspath(output_folder)]


def find_input(name: str, places: Sequence[str], leave_out: Callable[[Path], bool]) -> str:
    if is_object_url(name):
        return name
    found = (find_in_folder(name, place, leave_out) for place in dict.fromkeys(places))
    return next(filter(None, found), os.path.join(places[-1], name))


def missing_input(results: FinishedResults) -> str:
    return f"{results.files.details.name} does not have all questions, so the input of the run is needed"


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    outcome: Outcome
    # As the run received them; empty if there is nothing to check.
    raws: tuple[RawAnswer, ...]
    task: AskedTask | None
    lack: Lack | None = None


def read_details(details: tuple[Json, ...]) -> KeptAnswers:
    """The last outcome, with the raw answers of all lines. Raises ValueError."""
    raws: tuple[RawAnswer, ...] = ()
    digests: list[str | None] = []
    for fields in details:
        outcome = outcome_from_details(fields)
        if outcome.pictures:
            before, digests = digests, [picture.digest for picture in outcome.pictures]
            # Answers about a picture that was replaced since then do not apply to the present picture.
            raws = () if before and before != digests and None not in (*before, *digests) else raws
        raws = (() if fields.get("rechecked") else raws) + (outcome.raws or _raw_of_earlier_version(outcome))
    task = describe_task(outcome) if isinstance(outcome, Record) else outcome.task
    if is_final(outcome):
        return KeptAnswers(outcome, (), task)
    if task is None or not raws:
        return KeptAnswers(outcome, (), task, find_lack_of_failure(outcome))
    return KeptAnswers(replace(outcome, raws=raws), raws, task)


def _raw_of_earlier_version(outcome: Outcome) -> tuple[RawAnswer, ...]:
    """The outcome was in the journal of a version without details."""
    if isinstance(outcome, Record):
        return (RawAnswer(outcome.raw, None, outcome.made_good_by, "stop"),)
    return keep_last_text(outcome) if outcome.stage == "answer" else ()


def is_final(outcome: Outcome) -> bool:
    """Failures of the input or the endpoint are not about an answer."""
    return isinstance(outcome, Failure) and outcome.stage != "answer"


def keep_last_text(failure: Failure) -> tuple[RawAnswer, ...]:
    if failure.raw is None or has_unknown_ending(failure):
        return ()
    return (RawAnswer(failure.raw, failure.code, (), "stop"),)


def has_unknown_ending(failure: Failure) -> bool:
    """A loop may also have been cut off at the token limit."""
    is_cut = failure.code == "loop" and SENTENCE_END.search(failure.raw or "") is None
    return is_cut or failure.code in ENDING_CODES


def find_lack_of_failure(outcome: Outcome) -> Lack:
    return "ending" if isinstance(outcome, Failure) and has_unknown_ending(outcome) else "question"


@dataclass(frozen=True, slots=True)
class WrittenLineReader:
    """Reads the lines of the output and the failure file of a run without details."""

    task_maker: TaskMaker
    output_key: str
    # Whether ``--output-style answer`` was used, and ``--details``.
    answer_only: bool
    has_meta: bool
    # Whether questions that were drawn can be drawn again.
    has_bank: bool

    def read(self, kept: KeptQuestion, row: Row | None) -> KeptAnswers:
        """Raises ValueError for a line that no run wrote."""
        fields = load_object(kept.line)
        if kept.failed:
            return self._read_failure(kept.task_id, fields, row)
        try:
            return self._read_record(kept.task_id, fields, row)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a line of the output: {error}") from error

    def _read_failure(self, task_id: TaskId, fields: Json, row: Row | None) -> KeptAnswers:
        error = fields["error"]
        code, raw = error["code"], error["raw"]
        stage: Literal["input", "answer"] = "answer" if code in ANSWER_CODES and raw is not None else "input"
        asks = min(error["attempts"], 2)
        failure = Failure(task_id, code, error["message"], stage, error["attempts"], raw, asks=asks)
        if is_final(failure):
            return KeptAnswers(failure, (), None)
        task = self._make_task(task_id, row)
        raws = keep_last_text(failure)
        if task is None or not raws:
            return KeptAnswers(failure, (), None, find_lack_of_failure(failure))
        asked = describe_task(task)
        failure = replace(failure, task=asked, raws=raws)
        return KeptAnswers(failure, raws, asked, "earlier" if error["attempts"] > 1 else None)

    def _read_record(self, task_id: TaskId, fields: Json, row: Row | None) -> KeptAnswers:
        if self.has_meta:
            meta = fields[f"{self.output_key}_meta"]
            record = outcome_from_details(
                {"row": task_id.row, "question_number": task_id.question, "raws": [], "surrogate": None, **meta}
            )
            assert isinstance(record, Record)
            raws = (RawAnswer(record.raw, None, record.made_good_by, "stop"),)
            surrogate = self._find_surrogate(task_id, row) if record.strategy == "surrogate" else None
            record = replace(record, raws=raws, surrogate=surrogate)
            return KeptAnswers(record, raws, describe_task(record), "earlier" if record.asks > 1 else None)
        task = self._make_task(task_id, row)
        text = fields[self.output_key]
        tag = task.tag if task is not None else (row.tag if row is not None else None) or self.task_maker.tag
        known = task.question if task is not None else None
        question, answer = (known, text) if self.answer_only else split_answer(text, tag, known)
        if question is None:
            empty = Record(task_id, "attribute", tag, "", text, text, 0)
            return KeptAnswers(empty, (), None, "question")
        record = Record(
            task_id,
            "attribute",
            tag,
            question,
            answer,
            answer,
            seed=task.seed if task is not None else 0,
            finish_reason="stop",
            strategy=self.task_maker.strategy,
            question_id=task.question_id if task is not None else None,
            category=task.category if task is not None else None,
            surrogate=task.surrogate if task is not None else None,
            raws=(RawAnswer(answer, None, (), "stop"),),
        )
        return KeptAnswers(record, record.raws, describe_task(record), "raw")

    def _find_surrogate(self, task_id: TaskId, row: Row | None) -> str | None:
        task = self._make_task(task_id, row)
        return task.surrogate if task is not None else None

    def _make_task(self, task_id: TaskId, row: Row | None) -> Task | None:
        if row is None or (row.question is None and not self.has_bank):
            return None
        return self.task_maker.make_task(row, task_id)


def split_answer(text: str, tag: str, question: str | None) -> tuple[str, str]:
    """Question and answer of ``Question: …, Answer: …``; ``question`` is the row's present question, if known.

    Raises ValueError.
    """
    if question is not None and text.startswith(prefix := f"Question: {question}, Answer: "):
        return question, text.removeprefix(prefix)
    asked, found, answer = text.removeprefix("Question: ").partition(f", Answer: {tag}")
    if not found:
        raise ValueError("the text has no question and answer")
    return asked, tag + answer


def restore_input_line(kept: KeptQuestion, *, output_key: str, has_meta: bool) -> bytes:
    """The input line, without the members that the run added, and without line break. Raises ValueError."""
    line = kept.line.removesuffix(b"\n")
    if kept.failed:
        return cut_last_member(line, "error")
    if (original := _get_kept_line(kept.details)) is not None:
        return original.encode()
    if has_meta:
        line = cut_last_member(line, f"{output_key}_meta")
    return cut_last_member(line, output_key)


def _get_kept_line(details: tuple[Json, ...]) -> str | None:
    line: Any = details[-1].get("line") if details else None
    return line if isinstance(line, str) else None
