"""Checks an answer that a person wrote, with the checks of the run that asked the question."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from persqa_client.answers.doubts import find_doubts
from persqa_client.answers.parse import Answer, check_answer
from persqa_client.config import Endpoint, build_settings
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import SettingsError
from persqa_client.outcomes import AskedTask
from persqa_client.run.finished_run import restore_settings
from persqa_client.run.plan import RunPlan
from persqa_client.run.recheck import rebuild_task
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.types import Completion, Json, Problem, TaskId


class EditVerdict(NamedTuple):
    problem: Problem | None
    doubts: tuple[str, ...]
    # Whether the answer may have a real name: the run had --names, and only a digest of the file is kept.
    is_name_unchecked: bool


class EditChecker:
    """The text is checked as it is, without the repairs that a model's answer gets."""

    def __init__(self, identity: Json) -> None:
        self._has_names = identity.get("names") is not None
        plan = RunPlan(restore_check_settings(identity))
        self._maker = replace(plan.make_task_maker("direct"), asked_before=True)

    def check(self, text: str, asked: AskedTask) -> EditVerdict:
        task = rebuild_task(self._maker, TaskId(1), asked._replace(surrogate=None, strategy="direct"))
        problem = check_answer(Completion(text, "stop"), Answer(text), task)
        doubts = () if problem is not None else find_doubts(text, task)
        return EditVerdict(problem, doubts, self._has_names)


def restore_check_settings(identity: Json) -> RunSettings:
    """The settings of the run, without its names. If the run file is lost, the defaults with the run's tag."""
    try:
        settings = restore_settings({**identity, "names": None}, None)
    except (KeyError, SettingsError):
        endpoint = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=identity.get("model") or "unknown")
        settings = make_run_settings([endpoint], {"tag": identity["tag"]})
    # The questions of a user's bank file are not stored, and none is drawn here.
    return settings.model_copy(update={"recipe": settings.recipe.model_copy(update={"questions": 1})})
