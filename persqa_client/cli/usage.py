"""Usage errors in plain words, with the file that a value comes from."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

# The config file, in the metadata of a context.
CONFIG_KEY = "persqa_client.config"


class Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            # Imported here to keep --help fast (cli/run.py).
            from persqa_client.settings_base import describe_reason

            error.message = describe_reason(error.message)
            if is_from_config(ctx, error.param):
                error.message = f"{error.message.removesuffix('.')} (in {ctx.meta[CONFIG_KEY]})"
            raise


def is_from_config(context: Any, parameter: Any) -> bool:
    source = context.get_parameter_source(parameter.name) if parameter is not None else None
    return source is not None and source.name == "DEFAULT_MAP" and CONFIG_KEY in context.meta
