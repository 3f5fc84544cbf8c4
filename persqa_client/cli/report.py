"""The table at the end of a run. Prints to stdout."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from persqa_client.run.summary import Summary


def print_summary(summary: Summary, console: Console) -> None:
    """A table on a terminal; plain lines elsewhere, so that no name is broken to fit a width."""
    if not console.is_terminal:
        for name, value in lines_of(summary):
            print(f"{name:<13} {value}")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines_of(summary):
        table.add_row(name, value)
    console.print(table)


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def lines_of(summary: Summary) -> list[tuple[str, str]]:
    """What the table says, line by line."""
    tally = summary.tally
    many = tally.units != tally.rows
    rate = f", {tally.units / summary.seconds:.1f} {'questions' if many else 'rows'}/s" if summary.seconds >= 1 else ""
    asked = f", {tally.units:,} questions" if many else ""
    lines = [("rows", f"{tally.rows:,}{asked}"), ("good", f"{tally.good:,}")]
    if tally.made_good_by:
        lines.append(("made good by", listed(tally.made_good_by)))
    codes = f" ({listed(tally.re_asked)})" if tally.re_asked else ""
    lines.append(("asked again", f"{tally.re_asked.total():,}{codes}"))
    lines.append(("failed", f"{tally.bad:,}"))
    lines += [(f"  {code}", f"{count:,}") for code, count in tally.failed.most_common()]
    lines.append(("tokens", f"{tally.prompt_tokens:,} in, {tally.completion_tokens:,} out"))
    lines.append(("time", f"{timedelta(seconds=round(summary.seconds))}{rate}"))
    lines += [("endpoint", f"{account.base_url}: {account.words()}") for account in summary.endpoints]
    lines += [("server", note) for note in summary.notes]
    lines += [("found", fact) for fact in summary.found]
    if summary.files is not None and summary.state == "finished":
        lines.append(("output", str(summary.files.output)))
        if tally.bad:
            lines.append(("failed rows", str(summary.files.failed)))
        lines.append(("run file", str(summary.files.run)))
    return lines
