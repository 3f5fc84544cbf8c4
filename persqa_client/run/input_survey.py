"""Reads an input without a request: its rows, its pictures, and the tokens of its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from persqa_client.errors import RowError
from persqa_client.images.boxes import add_margin, locate_box
from persqa_client.images.prepare import PictureSize, measure_picture
from persqa_client.images.references import NamedErrors
from persqa_client.images.sizes import fit_size
from persqa_client.images.tokens import ModelFamily, detect_model_family, make_token_counter
from persqa_client.inputs.shards import iterate_rows
from persqa_client.inputs.sources import NamedLine, Source
from persqa_client.questions.tasks import TaskMaker, place_message
from persqa_client.run.compose import fetch_pictures
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.run.preview import draw_places, pick_places
from persqa_client.types import BadRow, BoxMark, EncodedImage, Row

# Rows whose pictures are read; of a larger input, these are spread over it.
MAX_MEASURED_ROWS = 5000
# Maximum number of measured rows if their pictures are downloaded from an object store.
MAX_FETCHED_ROWS = 200
# Characters of a text token: in words of Latin letters, and of other scripts. A pilot corrects them.
LATIN_CHARACTERS, OTHER_CHARACTERS = 4.0, 1.5
# Tokens of the chat template for a request, and around a picture.
TEMPLATE_TOKENS, PICTURE_MARKS = 20, 2
THREADS = 8
# Rows that the threads have at a time.
BATCH = 256


@dataclass(slots=True)
class Problems:
    """Unusable rows: the number for each code, and the message of the first."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, code: str, message: str) -> None:
        self.counts[code] = self.counts.get(code, 0) + 1
        self.examples.setdefault(code, message)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class RowSize(NamedTuple):
    questions: int
    text_tokens: float
    picture_tokens: int

    @property
    def prompt_tokens(self) -> float:
        """Each question has the pictures of its row."""
        return self.text_tokens + self.questions * self.picture_tokens


@dataclass(slots=True)
class InputSurvey:
    # Rows of the input, up to --limit and in the --shard.
    rows: int = 0
    # Rows that can't be read, whatever their pictures are.
    problems: Problems = field(default_factory=Problems)
    # Rows whose pictures were read, and which of them have unusable ones.
    measured: int = 0
    picture_problems: Problems = field(default_factory=Problems)
    # Sums over the measured rows that are usable.
    usable_measured: int = 0
    pictures: int = 0
    different_pictures: int = 0
    picture_bytes: int = 0
    questions_measured: int = 0
    text_tokens_measured: float = 0.0
    picture_tokens_measured: int = 0

    @property
    def readable(self) -> int:
        return self.rows - self.problems.total

    @property
    def is_sampled(self) -> bool:
        return self.measured < self.readable

    @property
    def factor(self) -> float:
        """Factor from the measured rows to all."""
        return self.readable / self.measured if self.measured else 0.0

    @property
    def usable(self) -> int:
        return round(self.factor * self.usable_measured)

    @property
    def questions(self) -> int:
        return round(self.factor * self.questions_measured)

    @property
    def text_tokens(self) -> float:
        return self.factor * self.text_tokens_measured

    @property
    def picture_tokens(self) -> float:
        return self.factor * self.picture_tokens_measured

    @property
    def prompt_tokens(self) -> float:
        return self.text_tokens + self.picture_tokens


class RowMeter:
    """Measures rows by a run's plan. Thread-safe, apart from a picture that is measured twice.

    ``family``: of the model, if the server has shown it; otherwise it is derived from the model's name.
    """

    def __init__(self, plan: RunPlan, family: ModelFamily | None = None) -> None:
        self._plan = plan
        self.shard = plan.settings.shard
        self.most_rows = MAX_MEASURED_ROWS if plan.fetched is None else MAX_FETCHED_ROWS
        recipe = plan.settings.recipe
        family = family or detect_model_family(plan.settings.endpoint.model)
        strategy = recipe.strategy
        self.reader: RowReader = plan.make_row_reader()
        self._tasks: TaskMaker = plan.make_task_maker("constrain" if strategy == "auto" else strategy)
        self._max_pixels = recipe.max_pixels
        self._roots = plan.picture_roots
        self._count_tokens = make_token_counter(family)
        # Whether the rule of the model's pictures is known.
        self.is_exact = family is not None
        # By the hash of the reference, which may be a whole picture.
        self._sizes: dict[int, PictureSize | RowError] = {}

    def parse(self, line: NamedLine) -> Row | BadRow:
        return self.reader.parse(line.position.number, line.line, line.name, line.path)

    def measure(self, row: Row) -> RowSize:
        """Raises RowError for a row that would fail before its request. Blocks."""
        fetch_pictures(self._plan, row.pictures)
        text, ids = 0.0, self._tasks.task_ids(row)
        for task_id in ids:
            task = self._tasks.make_task(row, task_id)
            text += TEMPLATE_TOKENS + estimate_text_tokens(task.system) + estimate_text_tokens(task.prompt)
        pictures = sum(self._count(self._measure_view(reference, mark)) for reference, mark in row.views)
        return RowSize(len(ids), text, pictures)

    def measure_reference(self, reference: str) -> PictureSize:
        size = self._sizes.get(hash(reference))
        if size is None:
            try:
                size = measure_picture(reference, self._roots)
            except RowError as error:
                size = error.fresh()
            self._sizes[hash(reference)] = size
        if isinstance(size, RowError):
            raise size.fresh()
        return size

    def _measure_view(self, reference: str, mark: BoxMark | None) -> tuple[int, int]:
        """The size of the picture, or of the part that is sent. Raises RowError, also for a box that is not in it."""
        size = self.measure_reference(reference)
        width, height = size.width, size.height
        if mark is None:
            return width, height
        with NamedErrors(reference):
            try:
                return measure_marked((width, height), mark)
            except RowError:
                # A header does not always show whether the picture is turned.
                with suppress(RowError):
                    return measure_marked((height, width), mark)
                raise

    def _count(self, sides: tuple[int, int]) -> int:
        width, height = fit_size(sides, self._max_pixels)
        return PICTURE_MARKS + self._count_tokens(EncodedImage(b"", "", width, height))


def measure_marked(size: tuple[int, int], mark: BoxMark) -> tuple[int, int]:
    """The size of the part of an upright picture that is sent. Raises RowError (``box_invalid``)."""
    box = locate_box(mark, size)
    if mark.mode != "cropped":
        return size
    left, top, right, bottom = add_margin(box, size)
    return right - left, bottom - top


def estimate_text_tokens(text: str) -> float:
    """
    >>> estimate_text_tokens("What is it?"), estimate_text_tokens("这是什么？")
    (2.75, 3.3333333333333335)
    """
    latin = sum(character < "\u0250" for character in text)
    return latin / LATIN_CHARACTERS + (len(text) - latin) / OTHER_CHARACTERS


def survey_input(
    source: Source,
    meter: RowMeter,
    limit: int | None,
    *,
    most: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> InputSurvey:
    """Reads all rows, and then the pictures of at most ``most``, or as many as the meter says. ``tell`` gets what is
    done.
    """
    survey = InputSurvey()
    for line in iterate_rows(source, limit, meter.shard):
        survey.rows += 1
        row = meter.parse(line)
        if isinstance(row, BadRow):
            survey.problems.add(row.code, row.message)
        if survey.rows % BATCH == 0:
            tell(f"Reading the input: {survey.rows:,} rows")
    references = set[int]()
    with ThreadPoolExecutor(THREADS) as threads:
        readable = filter_rows(map(meter.parse, iterate_rows(source, limit, meter.shard)))
        rows = pick_places(readable, draw_places(survey.readable, most or meter.most_rows))
        while batch := list(islice(rows, BATCH)):
            for row, size in zip(batch, threads.map(partial(try_to_measure, meter), batch), strict=True):
                add_row(survey, row, size, meter, references)
            tell(f"Reading the pictures: {survey.measured:,} rows")
    survey.different_pictures = len(references)
    return survey


def filter_rows(rows: Iterable[Row | BadRow]) -> Iterator[Row]:
    return (row for row in rows if isinstance(row, Row))


def try_to_measure(meter: RowMeter, row: Row) -> RowSize | RowError:
    try:
        return meter.measure(row)
    except RowError as error:
        return error


def add_row(survey: InputSurvey, row: Row, size: RowSize | RowError, meter: RowMeter, references: set[int]) -> None:
    survey.measured += 1
    if isinstance(size, RowError):
        survey.picture_problems.add(size.code, place_message(row, size.message))
        return
    survey.usable_measured += 1
    survey.questions_measured += size.questions
    survey.text_tokens_measured += size.text_tokens
    survey.picture_tokens_measured += size.questions * size.picture_tokens
    survey.pictures += len(row.pictures)
    for reference in row.pictures:
        if hash(reference) not in references:
            references.add(hash(reference))
            survey.picture_bytes += meter.measure_reference(reference).bytes
