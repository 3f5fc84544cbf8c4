"""The pages of ``--help``: plain text, with options by panels and the everyday ones first."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import typer

MIN_WIDTH, MAX_WIDTH = 50, 100
# Characters of a name that has its text beside it.
MAX_NAME = 28
# What a value is called whose flag gives it no name.
VALUE_NAMES = {int: "N", float: "N", str: "TEXT"}
# Panel of an option that has none.
OTHER_PANEL = "Other options"
# A space at which no line is broken.
UNBROKEN = "\u00a0"
# A line of a docstring that stands as it is: a command, or the second line of one.
INDENTED = re.compile(r"^ +", re.MULTILINE)


def make_page(
    command: Any, context: typer.Context, is_everyday: Callable[[Any], bool] = lambda option: True, *, all: bool = True
) -> str:
    """Everyday options are the first of their panel. Without ``all``, the last line announces the others."""
    width = max(MIN_WIDTH, min(shutil.get_terminal_size().columns, MAX_WIDTH))
    parameters = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option"]
    options.sort(key=lambda each: not is_everyday(each))
    shown = options if all else [each for each in options if is_everyday(each)]
    commands = {name: each for name, each in getattr(command, "commands", {}).items() if not each.hidden}
    pieces = ["[OPTIONS]", *map(describe_argument, arguments), *(["COMMAND"] if commands else [])]
    parts = [f"{bold('Usage:')} {context.command_path} {' '.join(pieces)}", *wrap_docstring(command.help or "", width)]
    sections = {
        "Commands": [(name, first_paragraph(each.help or "")) for name, each in commands.items()],
        "Arguments": [(describe_argument(each), each.help or "") for each in arguments],
    }
    parts += [write_section(name, rows, width) for name, rows in sections.items() if rows]
    panels = group_by_panel(shown, [each.rich_help_panel for each in parameters if each in options])
    rows = {name: [(describe_flags(each), describe_option(each)) for each in own] for name, own in panels.items()}
    column = find_column([first for own in rows.values() for first, _ in own])
    parts += [write_section(name, own, width, column) for name, own in rows.items()]
    if len(shown) < len(options):
        parts.append(f"All options: {context.command_path} --help-all")
    return "\n\n".join(parts)


def bold(heading: str) -> str:
    """The text in bold. ``typer.echo`` removes the style if the output is a file."""
    return heading if os.environ.get("NO_COLOR") else typer.style(heading, bold=True)


def group_by_panel(options: Iterable[Any], order: Iterable[str | None]) -> dict[str, list[Any]]:
    """The panels in the given order; options in none are last."""
    panels: dict[str | None, list[Any]] = {name: [] for name in order if name is not None}
    for option in options:
        panels.setdefault(option.rich_help_panel, []).append(option)
    others = panels.pop(None, [])
    named = {str(name): own for name, own in panels.items() if own}
    return {**named, OTHER_PANEL if named else "Options": others} if others else named


def describe_argument(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).removesuffix("...") + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def describe_flags(option: Any) -> str:
    """``-o, --output FILE``; flags without a short one are indented by its width."""
    *short, _ = sorted(option.opts, key=len)
    names = ", ".join([*short, *(each for each in option.opts if each not in short), *option.secondary_opts])
    value = "" if option.is_flag else f" {name_value(option)}"
    return f"{'' if short else '    '}{names}{value}"


def name_value(option: Any) -> str:
    if option.metavar:
        return str(option.metavar)
    described = option.type_descriptor
    if described.is_choice:
        return "|".join(map(str, described.choices))
    return next((name for kind, name in VALUE_NAMES.items() if mentions(described.annotation, kind)), "FILE")


def mentions(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in getattr(annotation, "__args__", ())


def describe_option(option: Any) -> str:
    facts = [option.help or ""]
    # The default of a switch is what it does without the flag.
    if option.default is not None and not isinstance(option.default, bool | list):
        facts.append(f"[default:{UNBROKEN}{format_default(option.default)}]")
    if option.required:
        facts.append("[required]")
    if isinstance(option.envvar, str):
        facts.append(f"[variable:{UNBROKEN}{option.envvar}]")
    return " ".join(filter(None, facts))


def format_default(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def find_column(names: Iterable[str]) -> int:
    """The column at which the texts begin. Longer names have their text on the next line."""
    return min(MAX_NAME, max(map(len, names), default=0)) + 4


def write_section(heading: str, rows: Sequence[tuple[str, str]], width: int, column: int | None = None) -> str:
    return "\n".join([bold(f"{heading}:"), *format_rows(rows, width, column or find_column(name for name, _ in rows))])


def format_rows(rows: Iterable[tuple[str, str]], width: int, column: int) -> Iterator[str]:
    for name, text in rows:
        first = f"  {name}"
        if len(first) > column - 2:
            yield first
            first = ""
        for line in wrap(text, width - column) or [""]:
            yield f"{first:<{column}}{line}".rstrip()
            first = ""


def wrap(text: str, width: int) -> list[str]:
    # A flag must not be broken at its hyphens.
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    return [line.replace(UNBROKEN, " ") for line in lines]


def wrap_docstring(text: str, width: int) -> Iterator[str]:
    """Each paragraph; the lines of one that is indented stand as they are."""
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if INDENTED.search(paragraph):
            yield paragraph.rstrip()
        elif paragraph.strip():
            yield "\n".join(wrap(" ".join(paragraph.split()), width))


def first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())
