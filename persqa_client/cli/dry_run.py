"""``--dry-run``: the first requests as they would be sent, pictures abridged. Reads the input, prints to stdout."""

from __future__ import annotations

from itertools import islice

from persqa_client.client.dialect import Dialect
from persqa_client.client.request import abridged
from persqa_client.config import RunSettings
from persqa_client.errors import RowError
from persqa_client.inputs.sources import START, Source
from persqa_client.run.compose import Plan
from persqa_client.types import BadRow, Request, Row, Unit

SHOWN = 3


def show_requests(settings: RunSettings, source: Source) -> None:
    """Prints the requests of the first rows; a row that would fail says why."""
    plan = Plan(settings, source)
    lines = ((line, position) for line, position in source.lines(START) if line.strip())
    for line, position in islice(lines, min(SHOWN, settings.limit or SHOWN)):
        row = plan.parse(position.number, line)
        urls = " or ".join(f"{endpoint.base_url}/chat/completions" for endpoint in settings.endpoints)
        print(f"--- line {position.number}: POST {urls}")
        if isinstance(row, BadRow):
            print(f"would fail: {row.message} ({row.code})")
            continue
        for unit in plan.units(row):
            print(describe(plan, row, unit, settings))


def describe(plan: Plan, row: Row, unit: Unit, settings: RunSettings) -> str:
    # What a server obeys is not known without asking it: the request is shown as for vLLM since 0.12.
    asks = plan.ask_maker("constrain" if settings.recipe.strategy == "auto" else settings.recipe.strategy)
    try:
        ask = asks.make(row, unit)
        pictures = tuple(plan.load(reference) for reference in row.images)
    except RowError as error:
        return f"would fail: {error.message} ({error.code})"
    request = Request(ask.system, pictures, ask.prompt, ask.seed, ask.pattern, ask.prefill)
    return abridged(
        request,
        model=settings.endpoint.model,
        sampling=settings.sampling,
        dialect=Dialect(constraint="structured_outputs", prefill="continue_final_message"),
    )
