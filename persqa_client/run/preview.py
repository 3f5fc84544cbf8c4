"""A few rows of an input, asked without writing anything."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from persqa_client.engines.engine import AnswerFunction, SetWeight
from persqa_client.inputs.shards import Shard, iterate_rows
from persqa_client.inputs.sources import ComposedSource, NamedLine, NamedSource, Source, list_sources
from persqa_client.outcomes import Outcome
from persqa_client.run.settings import RunSettings
from persqa_client.storage.tally import Tally
from persqa_client.types import BadRow, Position, Row, TaskId

Item = TypeVar("Item")


class Sample(ComposedSource, NamedSource):
    """Some of the rows of a shard, evenly spread, up to the first ``limit`` rows of the source. Reads all of these.

    With ``total``, the number of these rows, they are drawn at random: see ``draw_places``.
    """

    def __init__(
        self,
        source: Source,
        count: int,
        limit: int | None = None,
        *,
        shard: Shard | None = None,
        total: int | None = None,
    ) -> None:
        self.name = source.name
        self.sources = list_sources(source)
        self._source = source
        lines = iterate_rows(source, limit, shard)
        # Rows to choose from, and those of the sample. When the first of them was read, in seconds of ``monotonic``.
        if total is None:
            self.total, self.rows = spread(lines, count)
        else:
            self.total, self.rows = total, list(pick_places(lines, draw_places(total, count)))
        self.began = monotonic()

    def named_lines(self, start: Position) -> Iterator[NamedLine]:
        self.began = monotonic()
        return (line for line in self.rows if line.position.number > start.number)

    def fingerprint(self) -> None:
        return None

    def progress_total(self) -> int:
        return len(self.rows)

    def progress_at(self, position: Position) -> int:
        return sum(line.position.number <= position.number for line in self.rows)

    def warnings(self) -> tuple[str, ...]:
        return self._source.warnings()

    def digest_at(self, position: Position) -> str:
        return position.digest


def spread(lines: Iterator[NamedLine], count: int) -> tuple[int, list[NamedLine]]:
    """How many lines there are, and ``count`` of them at about equal distances, the first one included.

    >>> spread(iter("abcdefghij"), 3)
    (10, ['a', 'd', 'g'])
    """
    kept: list[NamedLine] = []
    total, stride = 0, 1
    for total, line in enumerate(lines, 1):
        if (total - 1) % stride == 0:
            kept.append(line)
            if len(kept) == 8 * count:
                kept, stride = kept[::2], 2 * stride
    chosen = min(count, len(kept))
    return total, [kept[place * len(kept) // chosen] for place in range(chosen)]


def draw_places(total: int, count: int) -> list[int]:
    """A random one of each of ``count`` equal parts of ``total`` places; all of them if there are not more.

    Rows at equal distances would be alike if the input repeats itself, as with one row per camera. The same numbers
    give the same places.
    """
    count = min(total, count)
    rng = random.Random(count)
    return [rng.randrange(part * total // count, (part + 1) * total // count) for part in range(count)]


def pick_places(items: Iterable[Item], places: Iterable[int]) -> Iterator[Item]:
    """``places`` ascend.

    >>> list(pick_places("abcdef", [1, 4]))
    ['b', 'e']
    """
    wanted = iter(places)
    place = next(wanted, None)
    for number, item in enumerate(items):
        if place is None:
            return
        if number == place:
            yield item
            place = next(wanted, None)


def make_preview_settings(settings: RunSettings) -> RunSettings:
    """The settings of a run that keeps its rows in memory, with all details."""
    recipe = settings.recipe.model_copy(update={"details": True, "output_style": "qa", "paths": None})
    files = {"output": None, "failed": None, "limit": None, "shard": None, "fresh": False, "retry_failed": False}
    return settings.model_copy(update={**files, "recheck_pictures": "off", "recipe": recipe})


class Preview:
    """Keeps the outcomes of a run over a sample."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.outcomes: dict[TaskId, Outcome] = {}

    def watch(self, answer: AnswerFunction) -> AnswerFunction:
        async def answer_and_keep(row: Row | BadRow, task_id: TaskId, set_weight: SetWeight) -> Outcome:
            outcome = await answer(row, task_id, set_weight)
            self.outcomes.setdefault(task_id, outcome)  # the model check asks an answered row again
            return outcome

        return answer_and_keep

    def forecast(self, tally: Tally) -> Forecast | None:
        """None if no row was usable."""
        if not tally.rows or not tally.attempts:
            return None
        share = self.sample.total / tally.rows
        return Forecast(
            share * tally.attempts,
            share * tally.prompt_tokens,
            share * tally.completion_tokens,
            share * (monotonic() - self.sample.began),
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimate for a run over the whole input, if its rows are like those of the sample."""

    requests: float
    prompt_tokens: float
    completion_tokens: float
    # At the pace of the sample.
    seconds: float
