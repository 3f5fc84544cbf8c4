"""``--dry-run``: the first requests as they would be sent, pictures abridged. Reads the input, prints to stdout."""

from __future__ import annotations

from itertools import islice

from persqa_client.chat.dialects import Dialect
from persqa_client.chat.requests import abridged
from persqa_client.config import RunSettings
from persqa_client.errors import RowError
from persqa_client.inputs.sources import START, Source
from persqa_client.plan import Plan
from persqa_client.types import BadRow, Request, Row, Unit

SHOWN = 3


def show_requests(settings: RunSettings, source: Source) -> None:
    """Prints the requests of the first rows; a row that would fail says why."""
    plan = Plan(settings, source)
    lines = ((line, position) for line, position in source.lines(START) if line.strip())
    for line, position in islice(lines, min(SHOWN, settings.limit or SHOWN)):
        row = plan.parse(position.number, line)
        print(f"--- line {position.number}: POST {settings.endpoint.base_url}/chat/completions")
        print(f"would fail: {row.message} ({row.code})" if isinstance(row, BadRow) else describe(plan, row, settings))


def describe(plan: Plan, row: Row, settings: RunSettings) -> str:
    ask = plan.asks.make(row, Unit(row.number))
    try:
        pictures = tuple(plan.load(reference) for reference in row.images)
    except RowError as error:
        return f"would fail: {error.message} ({error.code})"
    request = Request(ask.system, pictures, ask.prompt, ask.seed, ask.pattern)
    # What a server obeys is not known without asking it: the pattern is shown as vLLM since 0.12 takes it.
    constraint = "structured_outputs" if settings.recipe.constrain == "auto" else None
    return abridged(
        request,
        model=settings.endpoint.model,
        sampling=settings.sampling,
        dialect=Dialect(constraint=constraint),
    )
