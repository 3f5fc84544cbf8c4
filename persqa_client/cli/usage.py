"""Usage errors in plain words, with the file that a value comes from."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from persqa_client.cli.config_file import CONFIG_KEY, is_from_config
from persqa_client.cli.help_pages import describe_argument, describe_flags, make_page, name_value
from persqa_client.keys import mask_keys
from persqa_client.suggestions import explain_read_error, find_similar_name
from persqa_client.urls import expand_home, explain_impossible_path

# Flags that are suggested for one that does not exist, and characters of one that begins others.
MAX_SUGGESTED, MIN_BEGINNING = 3, 4
# Signs that programs for texts put in place of one hyphen or two.
OTHER_HYPHENS = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d-]+")
# What stands before the message of a usage error.
PREFIX = "Error: "
EXAMPLE = re.compile(r"^\s*Example: .*(?:\n.+)*", re.MULTILINE)
NOT_A_CHOICE = re.compile(r"'(.*)' is not one of (.*)", re.DOTALL)
# typer has click under a name of its own.
UsageError: Any = typer.BadParameter.__mro__[1]
MissingParameter: Any = sys.modules[UsageError.__module__].MissingParameter


@contextmanager
def masked_usage_errors() -> Iterator[None]:
    """A key may be given in any place: as a command, a choice, a value of the config file.

    On a terminal, the lines of the message end between words.
    """
    try:
        yield
    except UsageError as error:
        # Imported here to keep --help fast (cli/run.py).
        from persqa_client.terminals import wrap_words

        error.message = mask_keys(error.message)
        shown = wrap_words(f"{PREFIX}{error.format_message()}", sys.stderr).removeprefix(PREFIX)
        error.format_message = lambda: shown
        raise


class Group(TyperGroup):
    """Every command is parsed inside of its group."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(make_page(self, ctx))

    def make_context(self, *args: Any, **more: Any) -> Any:
        with masked_usage_errors():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        with masked_usage_errors():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        names = self.list_commands(ctx)
        flags = ("--help", *(flag for each in self.params for flag in each.opts))
        if (similar := find_similar_name(name, (*names, *flags))) is not None:
            advice = f". Did you mean {ctx.command_path} {similar}?"
        elif "run" in names and os.path.exists(name):
            advice = f". To ask about {name}: {ctx.command_path} run {shlex.quote(name)} …"
        else:
            advice = f"; choose from {', '.join(names)}."
        raise UsageError(f"There is no command {name!r}{advice}", ctx)


class Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(make_page(self, ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(describe_argument(each) for each in self.params if each.param_type_name == "argument")]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        refuse_other_hyphens(args, self.list_flags(), ctx)
        self.refuse_flags_as_values(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            if isinstance(error, MissingParameter) and error.param.param_type_name == "option":
                shown = describe_flags(error.param).strip()
                instead = f"; the variable {error.param.envvar} may have it, too" if error.param.envvar else ""
                raise UsageError(
                    f"The option {shown} is missing{describe_choices(error.param)}{instead}.{self.show_example()}", ctx
                ) from None
            if isinstance(error, typer.BadParameter):
                self.explain_value(ctx, error)
            elif hasattr(error, "possibilities"):
                # The suggestions of click are often far from the given word.
                error.possibilities = None
                error.message += suggest_flags(error.option_name, self.list_flags())
            elif option := next((each for each in self.params if needs_value(each, error)), None):
                error.message = ask_for_value(error.option_name, option)
            raise

    def show_example(self) -> str:
        """The example of the help, for a message about something that is missing."""
        found = EXAMPLE.search(self.help or "")
        return f" {' '.join(found[0].split())}" if found is not None else ""

    def list_flags(self) -> list[str]:
        return [name for each in self.params for name in (*each.opts, *each.secondary_opts) if name[0] == "-"]

    def refuse_flags_as_values(self, ctx: Any, args: list[str]) -> None:
        """``-o --model m`` would write a file with the name ``--model``, and ``-output m`` one named ``utput``."""
        flags = self.list_flags()
        options = {name: each for each in self.params if not getattr(each, "is_flag", True) for name in each.opts}
        words = args[: args.index("--")] if "--" in args else args
        for before, word in pairwise(("", *words)):
            name = word.partition("=")[0]
            if before not in options and len(name) > 2 and f"-{name}" in flags:
                raise UsageError(f"{name} begins with one hyphen; type -{name}.", ctx)
        for word, after in pairwise(words):
            if word in options and after.partition("=")[0] in flags:
                raise UsageError(ask_for_value(word, options[word]), ctx)

    def explain_value(self, ctx: Any, error: Any) -> None:
        """Changes the message of an invalid or missing value."""
        # Imported here to keep --help fast (cli/run.py).
        from persqa_client.validation import describe_reason

        if isinstance(error, MissingParameter):
            if takes_config(self) and error.param is not None and error.param.param_type_name == "argument":
                name = error.param.name
                error.message = f"Name a folder or a file, such as photos/, or give {name} in the file of --config."
            elif not error.message:
                error.message = self.show_example().strip()
            return
        error.message = describe_reason(error.message)
        if (similar := find_similar_choice(error.message)) is not None:
            error.message = f"{error.message.removesuffix('.')}. Did you mean {similar!r}?"
        if is_from_config(ctx, error.param):
            error.message = f"{error.message.removesuffix('.')} (in {ctx.meta[CONFIG_KEY]})"


def refuse_other_hyphens(args: list[str], flags: list[str], ctx: Any) -> None:
    """A command that was copied from a text may have a dash in place of the hyphens of a flag."""
    for word in args[: args.index("--")] if "--" in args else args:
        name = OTHER_HYPHENS.sub("", word, count=1).partition("=")[0]
        meant = next((flag for flag in (f"-{name}", f"--{name}") if flag in flags), None)
        if meant is not None and OTHER_HYPHENS.match(word) and not word.isascii():
            raise UsageError(f"{word.partition('=')[0]} begins with another sign than a hyphen; type {meant}.", ctx)


def suggest_flags(given: str, flags: list[str]) -> str:
    """The flag that is alike, or those that begin with the given one, as ``--api-key`` does."""
    similar = find_similar_name(given, [flag for flag in flags if flag.startswith("--")])
    longer = [flag for flag in flags if len(given) > MIN_BEGINNING and flag.startswith(given)]
    meant = longer if similar is None else [similar]
    return f". Did you mean {' or '.join(meant)}?" if 0 < len(meant) <= MAX_SUGGESTED else ""


def ask_for_value(name: str, option: Any) -> str:
    return f"{name} needs a value: {name} {name_value(option)}{describe_choices(option)}."


def needs_value(option: Any, error: Any) -> bool:
    return getattr(error, "option_name", None) in option.opts and not option.is_flag


def describe_choices(option: Any) -> str:
    """The choices of an option whose value has a name in the help instead of them."""
    described = option.type_descriptor
    return f"; choose from {', '.join(map(str, described.choices))}" if described.is_choice and option.metavar else ""


def takes_config(command: Any) -> bool:
    return any(each.name == "config" for each in command.params)


def path(text: str) -> Path:
    """Parses an option; the help shows its name. An empty one, perhaps from a variable that is not set, would be the
    working directory.
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.stores.paths import ObjectPath

    if isinstance(place(text), ObjectPath):
        raise typer.BadParameter("it names a file in an object store; name one of this machine.")
    return place(text)


def place(text: str) -> Path:
    """Parses a path, also of a file or folder in an object store."""
    from persqa_client.stores.paths import restore_object_path

    if not str(text).strip():
        raise typer.BadParameter("it is empty; name a file, or a folder (. for the working directory).")
    file = restore_object_path(expand_home(str(text)))
    if (problem := explain_impossible_path(file)) is not None:
        raise typer.BadParameter(f"it {problem}.")
    return file


def text_or_file(text: str) -> str:
    """Parses an option whose value is a text, or ``@`` and the name of a file with it."""
    if not str(text).startswith("@"):
        return str(text)
    file = expand_home(str(text)[1:])
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise typer.BadParameter(f"the file {str(file)!r} {explain_read_error(file, error)}.") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"the file {str(file)!r} is not UTF-8 text.") from error


def find_similar_choice(message: str) -> str | None:
    found = NOT_A_CHOICE.match(message)
    return find_similar_name(found[1], re.findall(r"'([^']*)'", found[2])) if found else None
