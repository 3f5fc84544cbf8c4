"""The file of ``--config``: TOML, whose keys are the flags of ``persqa run``, and whose values are their defaults."""

from __future__ import annotations

import codecs
import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import typer

from persqa_client.suggestions import explain_read_error, find_similar_name

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Flags that are no keys of the file.
OTHER_FLAGS = frozenset({"config", "help", "help_all"})
# The config file, in the metadata of a context.
CONFIG_KEY = "persqa_client.config"


def load_config(context: typer.Context, file: Path | None) -> Path | None:
    """Uses the values of a TOML file as defaults of the other options (callback of an eager option)."""
    if file is not None:
        context.meta[CONFIG_KEY] = file
        own: list[Any] = context.command.params
        commands = getattr(context.find_root().command, "commands", {})
        values = read_config(file, commands["run"].params if "run" in commands else own)
        # A variable does not replace a part of the file: the key in it may be for its own endpoint.
        for parameter in own:
            if parameter.name in values and isinstance(parameter.envvar, str):
                os.environ.pop(parameter.envvar, None)
        # Other commands than ``run`` read those of its flags that they have, too.
        names = {parameter.name for parameter in own}
        context.default_map = {
            **(context.default_map or {}),
            **{name: value for name, value in values.items() if name in names},
        }
    return file


def is_from_config(context: Any, parameter: Any) -> bool:
    source = context.get_parameter_source(parameter.name) if parameter is not None else None
    return source is not None and source.name == "DEFAULT_MAP" and CONFIG_KEY in context.meta


def read_config(path: Path, parameters: Iterable[Any]) -> dict[str, Any]:
    """The values by the names of the parameters. Raises BadParameter."""
    known = {str(each.name): each for each in parameters if each.name not in OTHER_FLAGS}
    values: dict[str, Any] = {}
    for key, value in read_toml(path).items():
        name = key.replace("-", "_")
        if name not in known and isinstance(value, dict):
            raise typer.BadParameter(f"{path} has a table [{key}]: write its keys above all tables, without that line.")
        if name not in known:
            similar = find_similar_name(name, known)
            meant = "" if similar is None else f" (did you mean {similar.replace('_', '-')}?)"
            raise typer.BadParameter(
                f"{path} has an unknown key {key!r}{meant}. Keys are flags of persqa run; see --help."
            )
        if name == "uuid" and isinstance(value, bool):
            value = "auto" if value else "off"
        if isinstance(value, dict):
            values[name] = table_as_json(path, key, value)
            continue
        try:
            values[name] = read_value(value, known[name])
        except ValueError as error:
            raise typer.BadParameter(f"{path} has a wrong value for {key!r}: {error}.") from error
    return values


def read_toml(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        advice = "; persqa init writes such a file" if isinstance(error, FileNotFoundError) else ""
        raise typer.BadParameter(f"{path} {explain_read_error(path, error)}{advice}.") from error
    if data.startswith(UTF_16):
        raise typer.BadParameter(f"{path} is in UTF-16; save it as UTF-8.")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise typer.BadParameter(f"{path} is not in UTF-8 (line {line}); save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        advice = "; write paths with /, or in single quotes" if b"\\" in data else ""
        raise typer.BadParameter(f"{path} is not valid TOML: {error}{advice}.") from error


def read_value(value: object, parameter: Any) -> object:
    """A command line has texts only, and would take the number of a path, or the text of a switch, as it is."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise ValueError("it must be true or false, without quotes")
        return value
    if getattr(parameter, "multiple", False) or parameter.nargs == -1:
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in several):
            raise ValueError("it must be text in quotes, or a list of such texts")
        if not several and parameter.required:
            raise ValueError("the list is empty")
        return several
    if isinstance(value, bool | list):
        raise ValueError("it must be one text or number")
    annotation = parameter.type_descriptor.annotation
    takes_number = {int, float} & {annotation, *get_args(annotation)} or "N" in (parameter.metavar or "").split("|")
    if not takes_number and not isinstance(value, str):
        raise ValueError("it must be text in quotes")
    return value


def table_as_json(path: Path, key: str, table: dict[str, Any]) -> str:
    try:
        return json.dumps(table, allow_nan=False)
    except (TypeError, ValueError) as error:
        # TOML has dates and infinity, which JSON cannot represent.
        raise typer.BadParameter(f"{path} has a value in {key!r} that can't be sent as JSON: {error}.") from error
