"""``persqa bank``: the built-in questions, and the check of a file with your own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from persqa_client.cli.completion import complete_category
from persqa_client.cli.exits import EXIT_USAGE, count_of, exit_with_error
from persqa_client.cli.messages import show_controls
from persqa_client.cli.usage import Command, Group, path
from persqa_client.errors import SettingsError
from persqa_client.types import QuestionLanguage

if TYPE_CHECKING:
    from persqa_client.questions.bank import Question

app = typer.Typer(cls=Group, help="List, show and check questions.", no_args_is_help=True)
LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}
# What the tag names in the questions of a category.
SUBJECTS = {
    "human": "a person",
    "animal": "an animal",
    "object": "an object",
    "scene": "a place",
    "group": "one person among several",
}


@app.command("list", cls=Command)
def list_banks() -> None:
    """List the built-in banks with their numbers of questions.

    Sensitive questions are among those of each language. A run asks them only with --sensitive.

    Example: persqa bank list
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.language import LANGUAGES
    from persqa_client.questions.bank import load_builtin_bank
    from persqa_client.questions.categories import CATEGORIES

    headings = ["category", "the tag names", *(LANGUAGE_NAMES.get(each, each) for each in LANGUAGES), "sensitive"]
    rows = []
    for category in CATEGORIES:
        banks = [load_builtin_bank(category, language) for language in LANGUAGES]
        sensitive = sum(question.sensitive for question in banks[0])
        rows.append([category, SUBJECTS[category], *(str(len(bank)) for bank in banks), str(sensitive)])
    print("\n".join(align_columns([headings, *rows])))
    print("\nThe questions of a category: persqa bank show CATEGORY")


def align_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


@app.command("show", cls=Command)
def show_bank(
    bank: Annotated[
        str,
        typer.Argument(
            metavar="CATEGORY|FILE", help="A built-in category, or your file.", autocompletion=complete_category
        ),
    ],
    language: Annotated[QuestionLanguage | None, typer.Option(help="Only questions in this language.")] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print JSON Lines, which --bank reads.")] = False,
) -> None:
    """Print the questions of a bank, with what a picture must show for them.

    To begin a bank of your own, change a built-in one:
      persqa bank show human --language en --jsonl > mine.jsonl

    Example: persqa bank show animal --language en
    """
    try:
        questions = find_questions(bank)
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    shown = [question for question in questions if language in (None, question.language)]
    if not shown:
        exit_with_error(f"{bank} has no questions in {LANGUAGE_NAMES.get(language or '', language)}", EXIT_USAGE)
    if jsonl:
        print("\n".join(json.dumps(as_fields(question), ensure_ascii=False) for question in shown))
        return
    several = len({(question.category, question.language) for question in shown}) > 1
    heading = None
    for question in shown:
        if several and (place := (question.category, question.language)) != heading:
            print(f"{'' if heading is None else chr(10)}# {describe_place(question)}")
            heading = place
        print(show_controls(describe_question(question)))


def find_questions(bank: str) -> tuple[Question, ...]:
    """Raises SettingsError for a file that does not exist or has a problem."""
    from persqa_client.language import LANGUAGES
    from persqa_client.questions.bank import load_builtin_bank, read_bank_file
    from persqa_client.questions.categories import CATEGORIES

    if bank not in CATEGORIES:
        return read_bank_file(path(bank))
    return tuple(question for language in LANGUAGES for question in load_builtin_bank(bank, language))


def describe_question(question: Question) -> str:
    marks = [f"needs {', '.join(sorted(question.needs))}"] if question.needs else []
    marks += ["sensitive"] if question.sensitive else []
    return f"{question.text}  [{'; '.join(marks)}]" if marks else question.text


def describe_place(question: Question) -> str:
    return f"{question.category or 'every category'}, {LANGUAGE_NAMES.get(question.language or '', question.language)}"


def as_fields(question: Question) -> dict[str, object]:
    fields = {
        "id": question.id,
        "text": question.text,
        "category": question.category,
        "language": question.language,
        "needs": sorted(question.needs),
        "sensitive": question.sensitive,
    }
    return {key: value for key, value in fields.items() if value}


def bank_name(text: str) -> str | Path:
    """Parses a category, or else the path of a file: ``./human`` is one."""
    from persqa_client.questions.categories import CATEGORIES

    return text if text in CATEGORIES else path(text)


@app.command("check", cls=Command)
def check_bank(
    bank: Annotated[
        Any, typer.Argument(metavar="FILE|CATEGORY", parser=bank_name, help="A file of questions, or a built-in bank.")
    ],
) -> None:
    """Report all problems of a file of questions, and what is in it.

    Exit codes: 0 no problem, 2 problems, or the file can't be read.

    Example: persqa bank check mine.jsonl
    """
    from persqa_client.images.references import describe_reference
    from persqa_client.questions.bank import inspect_bank, parse_bank, read_bank_bytes
    from persqa_client.terminals import wrap_words

    if not isinstance(bank, Path):
        print("\n".join(count_by_place(find_questions(bank))))
        return
    name = describe_reference(str(bank))
    try:
        data = read_bank_bytes(bank)
        questions, problems = inspect_bank(data, name)
        if not questions and not problems:
            parse_bank(data, name)  # reports an empty bank
    except SettingsError as error:
        exit_with_error(error, EXIT_USAGE)
    for problem in problems:
        print(wrap_words(show_controls(f"{problem}."), sys.stdout, indent=2))
    print("\n".join(count_by_place(questions)))
    if problems:
        exit_with_problems(len(problems))


def exit_with_problems(number: int) -> NoReturn:
    exit_with_error(f"{count_of(number, 'problem')}. A run does not start with this bank", EXIT_USAGE)


def count_by_place(questions: Iterable[Question]) -> Iterator[str]:
    """The number of questions, then those of each category and language."""
    listed = list(questions)
    yield f"{count_of(len(listed), 'question')}{':' if listed else '.'}"
    places: dict[str, list[Question]] = {}
    for question in listed:
        places.setdefault(describe_place(question), []).append(question)
    rows = [[f"  {place}", str(len(own)), describe_sensitive(own)] for place, own in places.items()]
    yield from align_columns(rows) if rows else ()


def describe_sensitive(questions: Iterable[Question]) -> str:
    number = sum(question.sensitive for question in questions)
    return f"({number} sensitive)" if number else ""
