"""``persqa run --preview N``: shows the pictures, questions, answers and checks of a few rows."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from logging import WARNING
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_OK, EXIT_ROWS_FAILED, count_of
from persqa_client.cli.messages import print_message, show_controls
from persqa_client.cli.terminal_images import Protocol, choose_protocol, render_image
from persqa_client.config import Price
from persqa_client.engines.budget import cost_of, format_amount
from persqa_client.errors import RowError
from persqa_client.images.prepare import load_image
from persqa_client.images.references import describe_reference
from persqa_client.outcomes import Failure, Outcome, Record, SentPicture
from persqa_client.questions.tasks import find_own_file, name_file
from persqa_client.run.preview import Preview
from persqa_client.run.prices import find_common_price
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.terminals import QuietConsole, wrap_behind
from persqa_client.types import BadRow, Row

# Maximum size of a picture, in cells of the terminal.
MAX_COLUMNS, MAX_ROWS = 40, 14
# Columns of "reference", the longest label.
MAX_LABEL = 9
# Pixels of a picture that is shown.
SHOWN_PIXELS = 400 * 400


def report_preview(run: Run, summary: Summary, preview: Preview) -> int:
    """Prints the rows on stdout, and returns the exit code of a run with these rows."""
    print_rows(run, preview)
    console = QuietConsole(highlight=False, soft_wrap=True)
    price = run.plan.limits.price or find_common_price(run.settings)
    for text in describe_totals(summary, preview, price):
        console.print(text, markup=False, soft_wrap=not console.is_terminal)
    if summary.state == "interrupted":
        print_message("Stopped.", WARNING)
        return EXIT_INTERRUPTED
    return EXIT_ROWS_FAILED if summary.tally.failed_total else EXIT_OK


def print_kept_rows(run: Run, preview: Preview) -> None:
    """Prints the rows that have an outcome, before the error that stopped the preview is reported."""
    if preview.outcomes:
        print_rows(run, preview)


def print_rows(run: Run, preview: Preview) -> None:
    console = QuietConsole(highlight=False, soft_wrap=True)
    protocol = choose_protocol(os.environ, is_terminal=sys.stdout.isatty())
    outcomes = sorted(preview.outcomes.items())
    reader = run.composition.make_row_reader()
    for number, line in enumerate(preview.sample.rows, 1):
        row = reader.parse(line.position.number, line.line, line.name, line.path)
        own = [outcome for task_id, outcome in outcomes if task_id.row == line.position.number]
        place = f"  {run.plan.counted_as} {line.position.number}" if line.path is None else ""
        console.print(Text(f"{number}/{len(preview.sample.rows)}{place}", style="bold"))
        if not isinstance(row, BadRow):
            pictures = own[0].pictures if own else ()
            print_pictures(row, pictures, run.plan.picture_roots, protocol, console)
        for outcome in own:
            print_outcome(outcome, console)
        if not own:
            console.print("not asked")
        console.print()


def print_pictures(
    row: Row,
    pictures: Sequence[SentPicture],
    roots: Sequence[Path],
    protocol: Protocol | None,
    console: Console,
) -> None:
    for index, (reference, mark) in enumerate(row.views):
        sent = ""
        if index < len(pictures):
            picture = pictures[index]
            tokens = "" if picture.tokens is None else f", {picture.tokens:,} tokens"
            sent = f"({picture.width} x {picture.height}, {picture.bytes / 1000:,.0f} KB{tokens})"
        name = "reference" if index < len(row.pictures) - len(row.images) else "picture  "
        shown = name_file(reference) if find_own_file(row) == reference else describe_reference(reference)
        line = f"{name} {shown}"
        # A path is left whole, and the figures are not broken.
        is_long = console.is_terminal and cell_len(line) + len(f"  {sent}") > console.width
        console.print(Text(f"{line}\n{' ' * MAX_LABEL} {sent}" if sent and is_long else f"{line}  {sent}".rstrip()))
        if protocol is None:
            continue
        try:
            image = load_image(reference, roots, max_pixels=SHOWN_PIXELS, mark=mark)
        except RowError:
            continue  # its message is the row's outcome
        columns = min(MAX_COLUMNS, shutil.get_terminal_size().columns)
        true_colour = os.environ.get("COLORTERM") in ("truecolor", "24bit")
        console.file.write(render_image(image.data, protocol, columns=columns, rows=MAX_ROWS, true_colour=true_colour))


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Texts that are longer than a line of a terminal are indented."""
    for label, text in describe_outcome(outcome):
        beginning = Text(f"{label:<{MAX_LABEL}} ")
        console.print(wrap_behind(beginning, text, console.width) if console.is_terminal else beginning + text)


def describe_outcome(outcome: Outcome) -> Iterator[tuple[str, Text]]:
    task = outcome if isinstance(outcome, Record) else outcome.task
    if task is not None:
        yield "question", Text(show_controls(task.question))
    if isinstance(outcome, Record):
        yield "answer", mark_tag(show_controls(outcome.answer), outcome.tag)
    checks = Text().append(*describe_checks(outcome))
    if isinstance(outcome, Failure):
        checks.append(f"  {show_controls(outcome.message)}")
    yield "checks", checks
    raw = outcome.raw
    if raw and (isinstance(outcome, Failure) or raw.strip() != outcome.answer):
        yield "model", Text(show_controls(raw.strip()), style="dim")


def mark_tag(answer: str, tag: str) -> Text:
    text = Text(answer)
    text.highlight_words([tag], "bold cyan")
    return text


def describe_checks(outcome: Outcome) -> tuple[str, str]:
    """Text and style."""
    if isinstance(outcome, Failure):
        return outcome.code, "bold red"
    facts = [*(["interventions: " + ", ".join(steps)] if (steps := outcome.made_good_by) else [])]
    if outcome.refused:
        facts.append(f"first answer rejected: {outcome.refused}")
    if outcome.verification is not None:
        facts.append(f"the model's own verdict: {outcome.verification.verdict}")
    if outcome.doubts:
        facts.append("doubtful: " + ", ".join(outcome.doubts))
    return "; ".join(["accepted", *facts]), "yellow" if outcome.doubts else "green"


def describe_totals(summary: Summary, preview: Preview, price: Price | None) -> Iterator[str]:
    tally = summary.tally
    yield (
        f"{count_of(tally.rows, 'row')}: {tally.succeeded:,} answered, {tally.failed_total:,} failed; "
        f"{count_of(tally.attempts, 'request')}, {tally.prompt_tokens:,} tokens in, {tally.completion_tokens:,} out. "
        "Nothing was written."
    )
    if (forecast := preview.forecast(tally)) is not None:
        yield (
            f"{describe_all(preview.sample.total)}: about {count_of(round(forecast.requests), 'request')}, "
            f"{forecast.prompt_tokens:,.0f} tokens in, {forecast.completion_tokens:,.0f} out; "
            f"{timedelta(seconds=round(forecast.seconds))} at the pace of these rows, less with more at once."
        )
        if price is not None:
            cost = format_amount(cost_of(price, forecast.prompt_tokens, forecast.completion_tokens))
            yield f"Cost of all: about {cost} ({price.prompt:g} and {price.completion:g} a million tokens)."


def describe_all(rows: int) -> str:
    return "The only row" if rows == 1 else f"All {rows:,} rows, if they are alike"
