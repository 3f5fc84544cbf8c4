"""``--config FILE.toml``: flags from a file, below those of the command line. Reads the file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import typer


def load_config(context: typer.Context, path: Path | None) -> Path | None:
    """An eager option's callback: makes the file's values the defaults of the other options. Keys are flags without
    their dashes; ``extra-body`` may be a table."""
    if path is None:
        return None
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path} can't be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is not TOML: {error}.") from error
    known = {str(parameter.name) for parameter in context.command.params} - {"config", "help"}
    repeated = {parameter.name for parameter in context.command.params if getattr(parameter, "multiple", False)}
    defaults = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise typer.BadParameter(f"{path} has a key {key!r} that is no flag; see --help.")
        if name in repeated and isinstance(value, str):
            value = [value]
        defaults[name] = table_as_json(path, key, value) if isinstance(value, dict) else value
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def table_as_json(path: Path, key: str, table: dict[str, Any]) -> str:
    try:
        return json.dumps(table, allow_nan=False)
    except (TypeError, ValueError) as error:
        # Dates, times, infinity: TOML has them, JSON has not.
        raise typer.BadParameter(f"{path} has a value under {key!r} that JSON can't hold: {error}.") from error
