"""Parsers of options for output files, which refuse the name of a folder and the suffix of another format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from persqa_client.cli.messages import print_warning
from persqa_client.cli.usage import path
from persqa_client.storage.output_names import PAGE, ROWS, SETTINGS, FileFormat


def output_file(format: FileFormat) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        file = path(text)
        if str(text).endswith("/") or (not format.may_continue and file.is_dir()):
            example = file / f"qa{format.suffixes[0]}"
            raise typer.BadParameter(f"{text} is the name of a folder; name a file in it, such as {example}.")
        if (problem := format.explain_other_name(file)) is not None:
            raise typer.BadParameter(f"{problem}.")
        if format.may_continue and text != "-" and (doubt := format.explain_unusual_name(file)) is not None:
            print_warning(doubt)
        return file

    parse.__name__ = path.__name__  # shown by the help
    return parse


rows_file = output_file(ROWS)
page_file = output_file(PAGE)
settings_file = output_file(SETTINGS)
