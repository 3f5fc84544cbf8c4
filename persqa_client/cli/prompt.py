"""``persqa prompt show``: the texts that a model reads, for each language and strategy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from persqa_client.cli.bank import LANGUAGE_NAMES
from persqa_client.cli.exits import EXIT_USAGE, exit_with_error
from persqa_client.cli.messages import print_message
from persqa_client.cli.run_flags import (
    AnswerLength,
    Bank,
    Box,
    Config,
    Describe,
    Language,
    Prompt,
    Question,
    Reference,
    System,
    Tag,
)
from persqa_client.cli.usage import Command, Group
from persqa_client.errors import RowError, SettingsError
from persqa_client.types import BoxMark, Problem, Row, Strategy, Task, TaskId

if TYPE_CHECKING:
    from persqa_client.run.plan import RunPlan

# Characters of a pattern.
SHOWN_PATTERN = 60
app = typer.Typer(cls=Group, help="Show the texts that the model reads.", no_args_is_help=True)


@app.command("show", cls=Command)
def show_prompts(
    tag: Tag = "mam",
    bank: Bank = "human",
    language: Language = None,
    question: Question = None,
    system: System = None,
    prompt: Prompt = None,
    answer_style: AnswerLength = "sentences",
    describe: Describe = None,
    reference: Reference = None,
    box: Box = None,
    strategy: Annotated[
        Strategy | None, typer.Option(help="Show one strategy; default: all of them.", rich_help_panel=None)
    ] = None,
    patterns: Annotated[
        bool,
        typer.Option("--patterns", help="Print the patterns of constrained answers whole.", rich_help_panel=None),
    ] = False,
    config: Config = None,
) -> None:
    """Print what is sent, with the first question of the bank. Sends nothing.

    Fields of the rows stay in braces. To see the requests of your own rows, use persqa run with --dry-run.

    Example: persqa prompt show --language en --answer-style short
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.config import Endpoint, Recipe, build_settings
    from persqa_client.endpoints.credentials import PLACEHOLDER_URL
    from persqa_client.run.plan import RunPlan
    from persqa_client.run.settings import make_run_settings

    try:
        recipe = build_settings(
            Recipe,
            tag=tag,
            bank=bank,
            language=language,
            question=question,
            system=system,
            prompt=prompt,
            answer_style=answer_style,
            describe=describe,
            reference=reference,
            box=box,
        )
        endpoint = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model="-")
        plan = RunPlan(make_run_settings([endpoint], {}, recipe=recipe))
        # The language of a text is that of its question.
        languages = [language] if language or question else plan.bank.languages
        strategies = (strategy,) if strategy else get_args(Strategy)
        for each in languages:
            print("\n".join(describe_prompts(plan, each, strategies, whole_patterns=patterns)))
        if describe is not None and len(languages) > 1:
            print_message("--describe is in the sentences of all languages as it is; --language shows one of them.")
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)


def describe_prompts(
    plan: RunPlan, language: str | None, strategies: tuple[Strategy, ...], *, whole_patterns: bool
) -> Iterator[str]:
    """Raises SettingsError."""
    from persqa_client.questions.prompts import build_reask_prompt

    templates = filter(None, (plan.steering.system, plan.steering.prompt, plan.steering.description))
    names = {name for template in templates for name in template.fields}
    row = Row(1, json.dumps({name: f"{{{name}}}" for name in names}).encode(), ("image.jpg",), language=language)
    box = plan.settings.recipe.box
    row = row._replace(reference=plan.reference, marks=() if box is None else (BoxMark(0, 0, 1, 1, True, box),))
    if language is not None:
        yield f"==== {LANGUAGE_NAMES.get(language, language)}\n"
    shown: tuple[str, str] | None = None
    for strategy in strategies:
        try:
            task = plan.make_task_maker(strategy).make_task(row, TaskId(1))
        except RowError as error:
            raise SettingsError(f"{error.message[0].upper()}{error.message[1:]}.") from error
        if (task.system, task.prompt) != shown:
            shown = task.system, task.prompt
            name = "" if task.surrogate is None else f" with {task.surrogate} in place of {task.tag}"
            yield f"--- system text{name}\n{task.system}\n\n--- prompt{name}, after the pictures\n{task.prompt}\n"
            reask = build_reask_prompt(task, "…", Problem("no_tag", ""))[1]
            yield f"--- after an answer that does not begin with {task.surrogate or task.tag}\n{reask.text}\n"
        yield f"--- --strategy {strategy}\n{describe_strategy(task, whole_pattern=whole_patterns)}\n"


def describe_strategy(task: Task, *, whole_pattern: bool) -> str:
    facts = []
    if task.surrogate is not None:
        facts.append(f"{task.surrogate} stands for {task.tag}.")
    if task.pattern is not None:
        pattern, length = task.pattern, len(task.pattern)
        if length > SHOWN_PATTERN and not whole_pattern:
            pattern = f"{pattern[:SHOWN_PATTERN]}… ({length} characters; --patterns shows all of them)"
        facts.append(f"The answer must match {pattern}")
    if task.prefill is not None:
        facts.append(f"The model continues an answer that begins with {task.prefill}.")
    return "\n".join(facts) or "The texts alone."
