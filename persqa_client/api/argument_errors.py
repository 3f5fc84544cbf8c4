"""Errors of the Python interface: by the names of its arguments, with the places of rows in memory."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

from persqa_client.argument_names import list_choices, name_arguments
from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.engines.early_stop import UNUSABLE_ADVICE
from persqa_client.errors import MaskedError, RowError, RunStopped, ServerFailed
from persqa_client.inputs.rows import IMAGES_WANTED
from persqa_client.outcomes import Failure
from persqa_client.run.settings import ENDPOINT_FLAGS, RUN_FLAGS, RunSettings
from persqa_client.types import BadRow
from persqa_client.validation import describe_unknown_argument

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

GROUPS = (Sampling, Limits, Recipe)
FIELDS = {
    **{name: field for kind in GROUPS for name, field in kind.model_fields.items()},
    **{name: RunSettings.model_fields[name] for name in RUN_FLAGS},
}
ARGUMENTS = FIELDS.keys() | ENDPOINT_FLAGS | {"output"} | {kind.__name__.lower() for kind in GROUPS}
SWITCHES = {name for name, field in FIELDS.items() if field.annotation is bool} | {"recheck_pictures"}
CHOICES = {name: list_choices(field.annotation) for name, field in FIELDS.items()}

# Where rows come from: lines of a file, objects of the caller, or the one row of a question.
Place = Literal["file", "memory", "question"]
LINE = re.compile(r"\b(?:Line|Record|Row) (\d+): ")
NAMED_TWICE = re.compile(r"\b(?:Line|Row) (\d+): row \1, ")
OWN_PLACE = re.compile(r"\brow 1, picture (\d+)")
OWN_TAG = re.compile(r'give the row the field "(tag)": ')
BEGINNING = re.compile(r"^(?:the|picture|a)\b")
# What is said of a line of a file, and of an object in its place.
IN_MEMORY = (
    (UNUSABLE_ADVICE["bad_line"], "Give each row as a dict, or a picture alone."),
    (IMAGES_WANTED, "a picture or a list of pictures, each a path, the bytes of a file, or a PIL image"),
)

# Flags of ``persqa run`` that ``generate`` does not have, and where they are in Python.
NO_ARGUMENTS = {
    **{
        kind.__name__.lower(): f"generate takes each of its settings as an argument, such as {example}"
        for kind, example in ((Sampling, "temperature=0"), (Limits, "rpm=300"), (Recipe, 'tag="bo"'))
    },
    "preview": "generate(rows, limit=5, …) without an output returns five rows and writes nothing",
    "dry_run": "the requests are shown by persqa run … --dry-run",
    "json": "generate returns the results, a Summary",
    "quiet": "generate prints nothing, unless progress=True",
    "n": "limit=5 stops after five rows",
    **dict.fromkeys(("out", "out_file", "output_file", "output_path"), "the file is the second argument, output"),
    **dict.fromkeys(("url", "api_base", "api_url"), "the address of the server is base_url"),
    "config": "give the settings of the file as arguments",
    "log_file": "warnings go to the logger persqa_client of Python's logging",
    "input": "the input is the first argument, rows",
    "inputs": "the input is the first argument, rows",
    "images": "pictures are the first argument, rows",
    "api_key": "name the environment variable with it as api_key_env, or give endpoint=Endpoint(api_key=…)",
    "headers": 'give header="NAME=@VARIABLE", or endpoint=Endpoint(headers=…)',
    **dict.fromkeys(
        ("serve", "serve_args", "serve_timeout", "device", "vllm_command"),
        "VLLMServer starts a server; give its endpoint",
    ),
}
# What ``PersQAClient`` and ``stream`` take in a group.
IN_GROUPS = {
    name: f"give {argument}={kind.__name__}({name}=…)"
    for kind, argument in ((Sampling, "sampling"), (Limits, "limits"), (Recipe, "recipe"), (Endpoint, "endpoint"))
    for name in kind.model_fields
}


def word_message(message: str, place: Place = "file") -> str:
    named = name_arguments(message, ARGUMENTS, SWITCHES, CHOICES)
    if place == "file":
        return named
    for words, others in IN_MEMORY:
        named = named.replace(words, others)
    if place == "memory":
        return LINE.sub(r"Row \1: ", NAMED_TWICE.sub(r"Row \1, ", named))
    named = OWN_TAG.sub(r"give \1=", OWN_PLACE.sub(r"picture \1", LINE.sub("", named)))
    return BEGINNING.sub(lambda found: found[0].capitalize(), named)


def word_failure(failure: Failure, place: Place) -> Failure:
    return replace(failure, message=word_message(failure.message, place))


def word_bad_row(row: BadRow, place: Place) -> BadRow:
    return replace(row, message=word_message(row.message, place))


@contextmanager
def errors_by_arguments(place: Place = "file", words: Callable[[str], str] | None = None) -> Iterator[None]:
    """``words``: those of another function than ``generate``."""
    try:
        yield
    except ServerFailed:
        raise  # has no flags, but the server's log
    except (MaskedError, RowError) as error:
        named = error.fresh()
        named.args = (word_message(str(error), place) if words is None else words(str(error)),)
        if isinstance(named, RunStopped | RowError):
            named.message = named.args[0]
        # A notebook does not count an error with an exception group in its context as one (IPython 9).
        error.__context__ = None
        raise named from error.__cause__


def explains_arguments(
    name: str, elsewhere: Mapping[str, str]
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """An unknown argument is a TypeError that says where its setting is, or which argument has a similar name."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        known = inspect.signature(function).parameters

        @wraps(function)
        def call(*args: Parameters.args, **arguments: Parameters.kwargs) -> Result:
            refuse_unknown(name, arguments, known, elsewhere)
            return function(*args, **arguments)

        return call

    return decorate


def refuse_unknown(
    function: str, arguments: Mapping[str, Any], known: Mapping[str, Any], elsewhere: Mapping[str, str]
) -> None:
    for name in arguments:
        if name not in known:
            raise TypeError(describe_unknown_argument(function, name, known, elsewhere))
