"""``persqa recheck``: its flags, and the report of what changed."""

from __future__ import annotations

import re
import sys
from logging import WARNING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persqa_client.cli.exits import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_ROWS_FAILED,
    EXIT_USAGE,
    count_of,
    exit_with_error,
    logged_command,
)
from persqa_client.cli.messages import (
    log_message,
    print_message,
    show_controls,
    show_logged_warnings,
    tolerate_closed_stream,
)
from persqa_client.cli.run_flags import LogFile, Quiet
from persqa_client.cli.usage import path

if TYPE_CHECKING:
    from persqa_client.run.finished_run import Lack
    from persqa_client.run.recheck import ChangeKind, Example, RecheckReport

HEADINGS: dict[ChangeKind, str] = {
    "accepted": "now accepted",
    "rejected": "now rejected",
    "altered": "altered",
    "recoded": "other code",
    "refreshed": "other doubts",
}
# What a run of an earlier version did not keep.
LACKS: dict[Lack, str] = {
    "raw": "the raw text of {accepted answer}; the accepted text was checked",
    "earlier": "the first answer to {question}, asked twice; the last answer was checked",
    "ending": "the ending of {rejected answer}, which can't be accepted without it",
    "question": "the question of {answer}, which can't be checked without it",
}
MAX_SHOWN_LENGTH = 120
# In advice for a run. A recheck has no other output, can't start over, and needs the files of the run where they are.
OTHER_ADVICE = re.compile(r"(?<![\w-])(?:-o|--fresh)(?![\w-])|^move it$")


def recheck_output(
    output: Annotated[Path, typer.Argument(metavar="OUT", parser=path, help="Output file of a finished run.")],
    names: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=path, help="The file of real names, if the run had one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and write nothing.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object on standard output, and nothing else.")
    ] = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> None:
    """Apply this version's repairs and checks to the raw answers of a finished run. Sends nothing.

    Exit codes: 0 all answers accepted, 1 some rows failed, 2 invalid usage or files, 130 stopped.

    Example: persqa recheck qa.jsonl --dry-run
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.errors import SettingsError, StorageError
    from persqa_client.run.recheck import recheck_run

    with logged_command(quiet, log_file, output):
        show_logged_warnings()
        try:
            report = recheck_run(output, names=names, dry_run=dry_run)
        except (SettingsError, StorageError) as error:
            exit_with_error(advise_recheck(str(error)), EXIT_USAGE)
        except KeyboardInterrupt:
            print_message(f"Stopped. {output} is unchanged, or the next command completes the change.", WARNING)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        print_recheck(report, dry_run=dry_run, as_json=json, quiet=quiet)
        report_writing(report, output, dry_run=dry_run)
        raise typer.Exit(EXIT_ROWS_FAILED if report.tally.failed_total else EXIT_OK)


def print_recheck(report: RecheckReport, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    from persqa_client.cli.json_result import print_as_json
    from persqa_client.terminals import wrap_words

    lines = format_report(report)
    for line in lines:
        log_message(line)
    if as_json:
        print_as_json(describe_recheck(report, dry_run=dry_run))
    elif not quiet:
        with tolerate_closed_stream(sys.stdout):
            for line in lines:
                print(wrap_words(show_controls(line), sys.stdout, indent=6))


def describe_recheck(report: RecheckReport, *, dry_run: bool) -> dict[str, Any]:
    from persqa_client import __version__

    changes: dict[str, dict[str, int]] = {kind: {} for kind in HEADINGS}
    for (kind, code), count in report.changes.items():
        changes[kind][code or "all"] = count
    return {
        "version": __version__,
        "state": "checked" if dry_run else "written" if report.changes else "unchanged",
        "exit_code": EXIT_ROWS_FAILED if report.tally.failed_total else EXIT_OK,
        "questions": report.questions,
        "changes": changes,
        "answered": report.tally.succeeded,
        "failed": report.tally.failed_total,
        "failed_by_code": dict(report.tally.failed),
        "not_kept": dict(report.lacks),
    }


def report_writing(report: RecheckReport, output: Path, *, dry_run: bool) -> None:
    from persqa_client.storage.run_files import RunFiles

    if dry_run and report.changes:
        print_message(f"Nothing was written. Without --dry-run, {output} and its files get these changes.")
    elif not report.changes:
        print_message(f"{output} is unchanged.")
    else:
        files = RunFiles.for_output(output)
        written = [path.name for path in (files.output, files.failed, files.details) if path.exists()]
        print_message(f"Written: {output.parent / written[0]}, {', '.join(written[1:])} and {files.run.name}.")


def format_report(report: RecheckReport) -> list[str]:
    lines = [f"{'rechecked':<13} {count_of(report.questions, 'question')}"]
    for kind, heading in HEADINGS.items():
        codes = {code: count for (one, code), count in report.changes.most_common() if one == kind}
        lines += [f"{heading:<13} {sum(codes.values()):,}"] if codes else []
        for code, count in codes.items():
            lines += [f"  {code:<11} {count:,}"] if code else []
            lines += [f"    {format_example(example, report.counted_as)}" for example in report.examples[kind, code]]
    lines.append(f"{'answered':<13} {report.tally.succeeded:,}")
    lines.append(f"{'failed':<13} {report.tally.failed_total:,}")
    if report.applied_decisions or report.stale_decisions:
        stale = f", {report.stale_decisions:,} stale: their answers changed" if report.stale_decisions else ""
        verb = "applies" if report.applied_decisions == 1 else "apply"
        lines.append(f"{'decisions':<13} {report.applied_decisions:,} {verb}{stale}")
    lines += [f"{'not kept':<13} {describe_lack(lack, count)}" for lack, count in sorted(report.lacks.items())]
    return lines


def describe_lack(lack: Lack, count: int) -> str:
    return re.sub(r"\{([a-z ]+)\}", lambda noun: count_of(count, noun[1]), LACKS[lack])


def advise_recheck(message: str) -> str:
    """The message without the advice that applies to a run."""
    problem, colon, advice = message.rpartition(": ")
    choices = re.split(r",? or |, ", advice.removesuffix("."))
    fitting = [choice for choice in choices if not OTHER_ADVICE.search(choice)]
    if not colon or len(fitting) == len(choices):
        return message
    if "changed since" in problem and not fitting:
        fitting = ["restore the file as the run left it"]
    return f"{problem}{colon if fitting else ''}{', or '.join(fitting)}"


def format_example(example: Example, counted_as: str) -> str:
    from persqa_client.questions.tasks import name_file

    place = show_controls(name_file(example.file)) if example.file else f"{counted_as} {example.row}"
    new_text = "" if example.new_text is None else f" → {quote(example.new_text)}"
    return f"{place}: {quote(example.text)}{new_text}"


def quote(text: str) -> str:
    """The text on one line, shortened, and without characters that control a terminal."""
    words = " ".join(text.split())
    shown = words if len(words) <= MAX_SHOWN_LENGTH else f"{words[:MAX_SHOWN_LENGTH]}…"
    return '"' + "".join(character if character.isprintable() else "�" for character in shown) + '"'
