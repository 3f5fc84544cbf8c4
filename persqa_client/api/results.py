"""The results of a run, read from its files, with the decisions of people about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from persqa_client.api.argument_errors import errors_by_arguments
from persqa_client.api.arguments import read_output_path
from persqa_client.errors import RowError, SettingsError
from persqa_client.images.references import describe_reference, escape_unprintable, get_file_version
from persqa_client.outcomes import AskedTask, Failure, Record
from persqa_client.report.decision_changes import describe_asked
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import ReportedRun, read_run
from persqa_client.report.thumbnails import Picture, make_thumbnail
from persqa_client.run.edited_answer import EditChecker
from persqa_client.storage.decisions import Decision, DecisionKind, DecisionsFile, current_time
from persqa_client.storage.run_files import RunFiles

# Number of pictures of a result that a notebook shows.
SHOWN_PICTURES = 4


@dataclass(frozen=True, slots=True)
class Result:
    """A question of a run, answered or failed.

    ``row`` is the number of the input row, or None if no file has it. ``images`` has the references of the output,
    ``pictures`` the paths of the existing files among them. ``answer`` is None if the question failed; ``code`` and
    ``message`` then have the reason, and ``raw`` is the last text of the model, if it gave any.
    """

    row: int | None
    question_number: int
    images: tuple[str, ...]
    pictures: tuple[Path, ...]
    question: str
    tag: str
    answer: str | None
    code: str | None
    message: str | None
    raw: str | None
    # Codes of what makes an accepted answer doubtful.
    doubts: tuple[str, ...]
    # The latest one about the present answer.
    decision: Decision | None
    _row: ReportRow = field(repr=False, compare=False)
    _run: DecidedRun = field(repr=False, compare=False)

    @property
    def final_answer(self) -> str | None:
        """The text in an export: the answer, or the text that a decision accepts or gives. None for a rejected answer,
        and for a failed question without a decision.
        """
        if self.decision is None or self.decision.kind == "none":
            return self.answer
        return self.decision.final_text

    def accept(self, comment: str | None = None) -> Result:
        """Stores the decision beside the output, and returns the updated result, as the methods below do.

        The new answer of an earlier edit is accepted as it is; ``withdraw`` brings the answer before it back. If
        ``comment`` is None, the comment of the earlier decision is kept. Raises StorageError, and SettingsError if
        the question has no text that can be accepted.
        """
        self._check_text("accept")
        before = self._find_decision()
        if before is not None and before.kind == "edit":
            return self._decide("edit", before.text, comment)
        return self._decide("accept", None, comment)

    def reject(self, comment: str | None = None) -> Result:
        """An export leaves the answer out."""
        return self._decide("reject", None, comment)

    def edit(self, text: str, comment: str | None = None, *, check: bool = True) -> Result:
        """An export contains ``text`` instead of the answer or, for a failed question, of the last rejected answer.

        Raises RowError with the code of a problem that the checks of the run find in it, unless ``check`` is false, and
        SettingsError if ``text`` is not a string or is empty, or if the model gave no text for the question.
        """
        self._check_text("edit")
        text = read_text("text", text)
        if not text:
            raise SettingsError("text is empty: give the new answer, or leave the answer out with reject().")
        if check:
            self._run.check_edit(text, self._row)
        return self._decide("edit", text, comment)

    def withdraw(self, comment: str | None = None) -> Result:
        """Withdraws the decision. Its comment stays."""
        return self._decide("none", None, comment)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """IPython shows it in place of all fields."""
        printer.text("\n".join(f"{label:<9} {text}" for label, text in list_display_lines(self)))

    def _repr_html_(self) -> str:
        """Notebooks show it at the end of a cell. All texts are untrusted."""
        pictures = "".join(map(show_picture, self.pictures[:SHOWN_PICTURES]))
        lines = "".join(f"<div><b>{escape(label)}</b> {escape(text)}</div>" for label, text in list_display_lines(self))
        return f'<div style="display: flex; gap: 12px">{pictures}<div dir="auto">{lines}</div></div>'

    def _check_text(self, verb: str) -> None:
        """Raises SettingsError if the model gave no text: an export only has answers of the model and edits."""
        if not self._row.decided_text.strip():
            raise SettingsError(f"there is no text of the model to {verb}: run the question again.")

    def _find_decision(self) -> Decision | None:
        """The latest one, also if it was stored after this result was made. Raises SettingsError."""
        self._run.file.refresh()
        return self._run.file.decisions.find(self._row.subject, self._row.decided_text)

    def _decide(self, kind: DecisionKind, text: str | None, comment: str | None) -> Result:
        if comment is None:
            before = self._find_decision()
            comment = "" if before is None else before.comment
        row = self._row
        comment = read_text("comment", comment)
        decision = Decision(row.subject, row.decided_text, kind, text, comment, current_time())
        self._run.file.append(decision)
        return replace(self, decision=None if decision.is_empty else decision)


def list_display_lines(result: Result) -> Iterator[tuple[str, str]]:
    """The lines to display, each with its label, without characters that control a terminal."""
    shown: list[tuple[str, str | None]] = [
        ("row", "?" if result.row is None else str(result.row)),
        ("pictures", ", ".join(map(describe_reference, result.images))),
        ("question", result.question),
        ("answer", result.answer),
        (result.code or "", result.message),
        ("model", None if result.code is None else result.raw),
        ("doubtful", ", ".join(result.doubts)),
    ]
    if (decision := result.decision) is not None:
        shown += [("decision", decision.kind), ("text", decision.text), ("comment", decision.comment)]
    return ((label, escape_unprintable(text)) for label, text in shown if text)


def show_picture(path: Path) -> str:
    thumbnail = make_thumbnail(Picture(str(path.absolute()), ()))
    return f'<img src="{thumbnail.uri}" alt="" style="align-self: start">' if thumbnail.uri else ""


class DecidedRun:
    """State that the results of an output share: the file with the decisions, and the checks of edited answers."""

    def __init__(self, run: ReportedRun) -> None:
        self._identity = run.identity
        self.file = DecisionsFile(RunFiles.for_output(run.output).decisions)

    @cached_property
    def checker(self) -> EditChecker:
        return EditChecker(self._identity)

    def describe_asked(self, row: ReportRow) -> AskedTask:
        return describe_asked(row, self._identity)

    def check_edit(self, text: str, row: ReportRow) -> None:
        """Raises RowError."""
        problem = self.checker.check(text, self.describe_asked(row)).problem
        if problem is not None:
            raise RowError(problem.code, f"The new answer is refused: {problem.message}.", raw=text)


def read_text(name: str, value: object) -> str:
    """Raises SettingsError."""
    if not isinstance(value, str):
        raise SettingsError(f"{name} is of the type {type(value).__name__}: give text.")
    return value.strip()


@errors_by_arguments()
def read_results(output: str | Path) -> list[Result]:
    """The accepted and failed questions of a run in input order, with the latest decisions about them.

    output: the output of a run, finished or not. Of an unfinished run, answers that wait in the journal for an earlier
        row are left out, until the same run continues.

    Raises SettingsError if the file is not the output of a run, or has no rows.
    """
    run = read_run(read_output_path(output))
    decided = DecidedRun(run)
    # The pictures of rows that only the journal has are not known.
    return [make_result(row, decided, run.roots) for row in run.rows if not row.is_waiting]


def make_result(row: ReportRow, run: DecidedRun, roots: Sequence[Path]) -> Result:
    outcome, failure = row.outcome, row.outcome if isinstance(row.outcome, Failure) else None
    is_stale = row.decision is not None and row.decision.answer != row.decided_text
    versions = [get_file_version(image, roots) for image in row.images]
    return Result(
        row=None if row.task_id is None else row.task_id.row,
        question_number=0 if row.task_id is None else row.task_id.question,
        images=row.images,
        pictures=tuple(Path(version.path) for version in versions if version is not None),
        question=row.question,
        tag=run.describe_asked(row).tag,
        answer=outcome.answer if isinstance(outcome, Record) else None,
        code=None if failure is None else failure.code,
        message=None if failure is None else failure.message,
        raw=row.decided_text or None if failure is not None else outcome.raw,
        doubts=outcome.doubts if isinstance(outcome, Record) else (),
        decision=None if is_stale else row.decision,
        _row=row,
        _run=run,
    )
