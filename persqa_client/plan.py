"""From settings to the parts of a run: how its rows are read, asked, weighed and written. Pure, but for the loading."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from pathlib import Path

from persqa_client.config import RunSettings
from persqa_client.errors import SettingsError
from persqa_client.inputs.asks import AskMaker
from persqa_client.inputs.bank import Bank
from persqa_client.inputs.characters import tag_of
from persqa_client.inputs.images import load_picture
from persqa_client.inputs.references import size_hint
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import FileSource, Source
from persqa_client.outputs.checks import TAGGED_ANSWER
from persqa_client.outputs.records import render_failure, render_record
from persqa_client.pipeline import Completer, Pipeline
from persqa_client.types import BadRow, Failure, Outcome, Picture, Row

BYTES_PER_PICTURE_BYTE = 4
"""A picture is held as its file, its base64 and the body around it, and copied once into the socket."""
DEFAULT_CATEGORY = "human"
DEFAULT_LANGUAGE = "en"


class Plan:
    """What the settings of one run mean for each of its rows. Raises SettingsError where the tag can't be one."""

    def __init__(self, settings: RunSettings, source: Source) -> None:
        self.recipe = settings.recipe
        self.roots = roots_of(settings.image_root, source)
        questions = Bank.of(DEFAULT_CATEGORY).questions(DEFAULT_CATEGORY, DEFAULT_LANGUAGE)
        self.asks = AskMaker(make_tag(self.recipe.tag), settings.sampling.seed, questions, TAGGED_ANSWER)

    def parse(self, number: int, line: bytes) -> Row | BadRow:
        return parse_line(number, line, image_key=self.recipe.image_key, output_key=self.recipe.output_key)

    def weigh(self, row: Row | BadRow) -> int:
        """Bytes that the row will hold while it is under way, its pictures included, about."""
        if isinstance(row, BadRow):
            return len(row.line)
        return len(row.line) + BYTES_PER_PICTURE_BYTE * sum(
            size_hint(reference, self.roots) for reference in row.images
        )

    def load(self, reference: str) -> Picture:
        return load_picture(reference, self.roots, max_pixels=self.recipe.max_pixels)

    def render(self, line: bytes, outcome: Outcome) -> bytes:
        if isinstance(outcome, Failure):
            return render_failure(line, outcome)
        recipe = self.recipe
        return render_record(
            line, outcome, output_key=recipe.output_key, style=recipe.output_style, details=recipe.details
        )

    def pipeline(self, completer: Completer, threads: Executor) -> Pipeline:
        """The journey of a row, its pictures loaded in the given threads."""

        async def load(reference: str) -> Picture:
            return await asyncio.get_running_loop().run_in_executor(threads, self.load, reference)

        return Pipeline(completer, load, self.asks)


def make_tag(name: str) -> str:
    try:
        return tag_of(name)
    except ValueError as error:
        raise SettingsError(f"--tag: {error}.") from error


def roots_of(image_root: Path | None, source: Source) -> tuple[Path, ...]:
    """Where relative picture paths are looked for, in order."""
    if image_root is not None:
        return (image_root,)
    return (source.path.parent, Path()) if isinstance(source, FileSource) else (Path(),)
