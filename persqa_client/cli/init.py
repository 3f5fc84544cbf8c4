"""``persqa init``: a commented file for ``persqa run --config``, made of the flags and their help."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from persqa_client.cli.config_file import OTHER_FLAGS
from persqa_client.cli.exits import EXIT_USAGE, exit_with_error
from persqa_client.cli.help_pages import format_default, group_by_panel, name_value, wrap
from persqa_client.cli.messages import print_message
from persqa_client.cli.output_names import settings_file
from persqa_client.cli.run_flags import is_everyday
from persqa_client.keys import mask_keys

DEFAULT_FILE = Path("persqa.toml")
# Flags for one call of the command.
EXCLUDED_FLAGS = frozenset({"input", "preview", "dry_run", "no_uuid"})
# Values that are written as settings, for flags without a default. They suit the server of scripts/serve_vllm.sh.
WRITTEN_VALUES = {"output": "qa.jsonl", "base_url": "http://127.0.0.1:8000/v1"}
# Values that are written as comments, for flags without a default.
EXAMPLES: dict[str, object] = {
    "model": "Qwen/Qwen2.5-VL-3B-Instruct",
    "serve": "Qwen/Qwen2.5-VL-3B-Instruct",
    "ca_cert": "ca.pem",
    "client_cert": "client.pem",
    "names": "names.txt",
    "failed": "failed.jsonl",
    "log_file": "persqa.log",
    "report": "report.html",
    "serve_args": "--max-model-len 8192",
    "vllm_command": "vllm",
    "api_key_env": "MY_KEY",
    "api_key_command": "print-key",
    "header": ["api-key=@MY_KEY"],
    "language": "en",
    "question": "What is {tag} doing?",
    "system": "You describe pictures truthfully.",
    "prompt": "{question} Begin your answer with {tag}.",
    "without": ["face"],
    "steer": ["prompt"],
    "extra_body": {"top_k": 20},
    "paths": "relative",
    "rps": 0.5,
    "rpm": 300,
    "tpm": 100_000,
    "limit": 1000,
    "max_cost": 5.0,
    "max_wall": "8h",
}
# Example values of all other flags, by their metavar.
EXAMPLES_BY_METAVAR: dict[str, object] = {"N": 1000, "X": 1.5, "SECONDS": 60, "DIR": ".", "I/N": "1/16"}
MARK = "# "


def make_config(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", parser=settings_file, help="File to write; default: persqa.toml."),
    ] = DEFAULT_FILE,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """Write a file of settings for persqa run --config, with every option explained.

    Everyday options stand first, with their defaults. The others follow as comments.

    Example: persqa init my.toml
    """
    text = describe_config(context.find_root().command.commands["run"].params, file.name)  # type: ignore[attr-defined]
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        exit_with_error(f"{file} exists already; name another file, or replace it with --force", EXIT_USAGE)
    except OSError as error:
        exit_with_error(f"{file} can't be written: {error.strerror}", EXIT_USAGE)
    command = f"persqa run photos/ --config {shlex.quote(str(file))}"
    print_message(f"{file} is written. Edit it, then look at five rows: {command} --preview 5")


def describe_config(options: list[Any], name: str) -> str:
    listed = [each for each in options if each.name not in OTHER_FLAGS | EXCLUDED_FLAGS and not each.hidden]
    everyday = [each for each in listed if is_everyday(each)]
    others = [each for each in listed if not is_everyday(each)]
    order = [each.rich_help_panel for each in listed]
    lines = [
        f"# Settings of persqa run. To use them: persqa run photos/ --config {shlex.quote(name)}",
        "# A flag on the command line takes precedence over this file. Lines with # are comments.",
        "",
        "# The rows, if the command names none: a folder, a file or a pattern, or a list of them.",
        f'{MARK}input = "photos/"',
        *describe_panels(group_by_panel(everyday, order), as_comments=False),
        "",
        "",
        "# ======== Less common options, with their defaults or an example ========",
        *describe_panels(group_by_panel(others, order), as_comments=True),
    ]
    return "\n".join(lines) + "\n"


def describe_panels(panels: dict[str, list[Any]], *, as_comments: bool) -> Iterator[str]:
    """For options without a default, the example is a comment."""
    for panel, own in panels.items():
        yield from ("", f"# ---- {panel} ----")
        for option in own:
            value, is_set = choose_value(option)
            line = f"{option.name.replace('_', '-')} = {write_value(value)}"
            yield from ("", *(f"{MARK}{each}" for each in wrap(explain_option(option), 118)))
            masked = mask_keys(line)
            if masked != line:
                # Other users may read the file. The run still reads the value from the environment variable.
                line, is_set = masked, False
                yield f"{MARK}{option.envvar} may have a key in it, which is not written here; keep the variable."
            yield line if is_set and not as_comments else f"{MARK}{line}"


def explain_option(option: Any) -> str:
    """The help, with the choices."""
    described = option.type_descriptor
    return f"{option.help} One of {', '.join(map(str, described.choices))}." if described.is_choice else option.help


def choose_value(option: Any) -> tuple[object, bool]:
    """The default, the value of a variable of the environment, or an example; and whether a run would have it."""
    variable = os.environ.get(option.envvar, "").split() if isinstance(option.envvar, str) else []
    if variable:
        return (variable if option.multiple and len(variable) > 1 else variable[0]), True
    if option.default is not None:
        return option.default, True
    if option.name in WRITTEN_VALUES:
        return WRITTEN_VALUES[option.name], True
    return EXAMPLES.get(option.name, EXAMPLES_BY_METAVAR.get(name_value(option), "text")), False


def write_value(value: object) -> str:
    """The value in TOML, whose texts, lists, numbers and switches are written as in JSON."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {write_value(each)}' for key, each in value.items())} }}"
    return format_default(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
