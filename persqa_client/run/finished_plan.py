"""The settings of a finished run, restored from its run file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from persqa_client.config import Endpoint, Recipe, build_settings
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RowError, SettingsError
from persqa_client.inputs.listed import is_same_place
from persqa_client.inputs.opening import open_inputs, read_as_before
from persqa_client.inputs.patterns import find_in_folder
from persqa_client.inputs.sources import read_named_lines
from persqa_client.outcomes import Outcome
from persqa_client.questions.categories import CATEGORIES
from persqa_client.run.compose import RunPlan
from persqa_client.run.image_roots import make_path_writers
from persqa_client.run.kept_answers import KeptAnswers, WrittenLineReader, read_details, restore_input_line
from persqa_client.run.listed_input import connect_listing
from persqa_client.run.rejudging import judge_answers
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.storage.checkpoint import FinishedRun
from persqa_client.storage.finished import FinishedResults, KeptQuestion
from persqa_client.storage.listing import is_listed
from persqa_client.storage.own_files import OwnFiles
from persqa_client.types import START_POSITION, BadRow, Json, Row, TaskId


class FinishedPlan:
    """The settings of a finished run, as far as its answers depend on them. Raises SettingsError."""

    def __init__(self, run: FinishedRun, members: Json, names: Path | None) -> None:
        self._run = run
        self._members = members
        settings = restore_settings(run.identity, names)
        self.recipe = settings.recipe
        # An own bank is not known any more.
        has_own_bank = run.identity["bank"] not in CATEGORIES
        drawn = settings.model_copy(update={"recipe": self.recipe.model_copy(update={"questions": 1})})
        self._plan = RunPlan(drawn if has_own_bank else settings).with_settings(settings)
        check_names_unchanged(run.identity, self._plan.identity())
        self.render = self._plan.make_renderer()
        self._max_tokens = settings.sampling.max_tokens
        # Tasks are made without a surrogate, and get the one that was asked about.
        self._direct_maker = replace(self._plan.make_task_maker("direct"), asked_before=True)
        self._lines = WrittenLineReader(
            replace(self._plan.make_task_maker(members.get("strategy", "direct")), asked_before=True),
            self.recipe.output_key,
            answer_only=self.recipe.output_style == "answer",
            has_meta=self.recipe.details,
            has_bank=not has_own_bank and run.identity.get("bank-digest") in (None, self._plan.bank.digest),
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
            opened = open_inputs(paths, self.recipe.image_key, leave_out=is_own, lists_images=listing is not None)
            source = read_as_before(
                connect_listing(opened, lambda: listing, end.number), self._run.stamp, self.recipe.image_key
            )
            is_same = source.digest_at(end) == end.digest
        except (SettingsError, OSError) as error:
            raise SettingsError(f"{missing_input(results)}, but the input {name} can't be read: {error}") from error
        if not is_same:
            raise SettingsError(f"{missing_input(results)}, but the input {name} has changed: restore it")
        writers = make_path_writers(folders["paths"], folders["image_roots"], results.files.output)
        reader = self._plan.make_row_reader(paths=writers)
        for line, position, row_name, path in read_named_lines(source, START_POSITION):
            if position.number > end.number:
                return
            if line.strip():
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

    def judge(self, answers: KeptAnswers) -> Outcome:
        return judge_answers(answers, self._direct_maker, self._max_tokens, self.recipe.verify)


def restore_settings(identity: Json, names: Path | None) -> RunSettings:
    """The settings of a run from its identity, with a placeholder endpoint."""
    flags = {name: identity[key] for name in Recipe.model_fields if (key := name.replace("_", "-")) in identity}
    flags |= {"names": names, "max_tokens": identity["max-tokens"], "seed": identity["seed"]}
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
    """Where a relative input may start: in the working directory of the run, in this one, beside the output."""
    own = folders.get("working_directory", "")
    return ["" if is_same_place(own, os.curdir) else own, "", os.fspath(output_folder)]


def find_input(name: str, places: Sequence[str], leave_out: Callable[[Path], bool]) -> str:
    found = (find_in_folder(name, place, leave_out) for place in dict.fromkeys(places))
    return next(filter(None, found), os.path.join(places[-1], name))


def missing_input(results: FinishedResults) -> str:
    return f"{results.files.details.name} does not have all questions, so the input of the run is needed"
