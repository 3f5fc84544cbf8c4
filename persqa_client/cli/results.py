"""The result of a run as ``persqa run`` prints it: counts, reasons of failures, a few rows, and how to look at all."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from logging import WARNING
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_OK, EXIT_ROWS_FAILED, count_of
from persqa_client.cli.messages import log_message, print_message, show_controls, tolerate_closed_stream
from persqa_client.config import Recipe
from persqa_client.engines.budget import BUDGET
from persqa_client.errors import MaskedError, RunStopped
from persqa_client.images.references import describe_reference
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary, list_results
from persqa_client.terminals import QuietConsole, wrap_behind

SAMPLES = 3
# Characters of a sample and of a reason; lines of the failure file that are searched for reasons.
MAX_SAMPLE, MAX_REASON, MAX_SEARCHED = 240, 400, 10_000
# Columns of the labels where they are not aligned by a table; longer ones widen them.
MIN_LABEL = 13
# What is copied from a terminal, so that no line break may stand in it: paths and commands.
COPIED = frozenset(
    ("output", "failed rows", "details", "run file", "timeline", "listing", "earlier run", "to look at it", "to run it")
)


def report_result(run: Run, summary: Summary, *, shows_results: bool = True) -> int:
    """Prints the results on stdout, and returns the exit code."""
    if summary.state == "already":
        print_message(f"{run.settings.output} is already finished: nothing to do.")
        if failed := summary.tally.failed_total:
            kind = "row" if summary.tally.tasks == summary.tally.rows else "question"
            print_message(f"{count_of(failed, kind)} failed; --retry-failed asks again.")
    elif shows_results and (summary.tally.tasks or summary.state != "interrupted"):
        is_stream = run.settings.is_stream
        stream = sys.stderr if is_stream else sys.stdout
        with tolerate_closed_stream(stream):
            print_results([*list_results_with_examples(summary, run.settings.recipe)], QuietConsole(file=stream))
            if is_stream and summary.tally.failed_total:
                print(f"{'failed rows':<13} {show_controls(str(run.settings.failed))}", file=stream)
    log_results(summary)
    if summary.state == "interrupted":
        print_message(f"Stopped after {count_of(summary.tally.rows, 'row')}. {run.describe_resuming()}", WARNING)
        return EXIT_INTERRUPTED
    return EXIT_ROWS_FAILED if summary.tally.failed_total else EXIT_OK


def report_stop(run: Run, error: MaskedError) -> None:
    """Advice on how to continue, unless the error has it."""
    if run.progress.done and not (isinstance(error, RunStopped) and error.code == BUDGET):
        print_message(run.describe_resuming(), WARNING)


def log_results(summary: Summary) -> None:
    for label, text in list_results(summary):
        log_message(f"{label:<13} {text}")


def print_results(results: list[tuple[str, str]], console: Console) -> None:
    """On a terminal, long texts are broken between words; paths and commands are not, and a file has plain lines.

    Names of files and texts of rows may have characters that a terminal would obey.
    """
    results = [(show_controls(label), show_controls(text)) for label, text in results]
    if not console.is_terminal:
        width = max(MIN_LABEL, *(len(label) for label, _ in results))
        for label, text in results:
            print(f"{label:<{width}} {text}".rstrip(), file=console.file)
        return
    width = max(len(label) for label, _ in results)
    for label, text in results:
        begin = Text.assemble((f"{label:<{width}}  ", "bold"))
        is_copied = label.strip() in COPIED
        shown = begin.append(text) if is_copied else wrap_behind(begin, Text(text), console.width)
        console.print(shown, soft_wrap=True)


def list_results_with_examples(summary: Summary, recipe: Recipe) -> Iterator[tuple[str, str]]:
    files = summary.files if summary.state == "finished" else None
    reasons = find_reasons(files.failed, set(summary.tally.failed)) if files and summary.tally.failed else {}
    samples = read_samples(files.output) if files else []
    for label, text in list_results(summary):
        if label == "output":
            yield from (("sample", describe_sample(row, recipe)) for row in samples)
        reason = reasons.get(label.strip()) if label.startswith("  ") else None
        yield label, f"{text}; {shorten(reason, MAX_REASON)}" if reason else text
    if files is not None:
        if summary.tally.failed_total:
            yield "to ask again", "the same command with --retry-failed"
        yield "to look at it", f"persqa view {shlex.quote(str(files.output))}"


def find_reasons(failed: Path, codes: set[str]) -> dict[str, str]:
    """The message of the first failure of each code, with the place of its row."""
    reasons: dict[str, str] = {}
    try:
        with failed.open("rb") as file:
            for _, line in zip(range(MAX_SEARCHED), file, strict=False):
                error = json.loads(line)["error"]
                reasons.setdefault(error["code"], error["message"])
                if codes <= reasons.keys():
                    break
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the counts are shown without reasons
    return reasons


def read_samples(output: Path) -> list[dict[str, Any]]:
    """Rows at the beginning, in the middle and at the end, without reading the others."""
    lines: dict[int, bytes] = {}
    try:
        with output.open("rb") as file:
            size = file.seek(0, 2)
            for place in range(SAMPLES):
                file.seek(max(0, place * size // SAMPLES - 1))
                if place:
                    file.readline()  # the rest of a line
                start = file.tell()
                if line := file.readline():
                    lines[start] = line
        return [json.loads(line) for line in lines.values()]
    except (OSError, ValueError):
        return []


def describe_sample(row: dict[str, Any], recipe: Recipe) -> str:
    """The first image and the text."""
    given = row.get(recipe.image_key)
    image = given[0] if isinstance(given, list) and given else given
    text = " ".join(str(row.get(recipe.output_key, "")).split())
    return shorten(f"{describe_reference(image)}: {text}" if isinstance(image, str) else text, MAX_SAMPLE)


def shorten(text: str, length: int) -> str:
    text = show_controls(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"
