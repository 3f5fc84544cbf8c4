"""The runs that a served page shows: what it asks for, as JSON, and the decisions that it makes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference
from persqa_client.report.data import (
    FORMAT,
    cut_text,
    describe_output,
    drop_empty,
    make_row_json,
    make_row_name,
    name_outputs,
)
from persqa_client.report.decision_changes import describe_asked, make_decision
from persqa_client.report.followed_run import FollowedRun
from persqa_client.report.followed_timeline import FollowedTimeline
from persqa_client.report.row_groups import (
    AnswerGroups,
    count_groups,
    find_groups,
    list_groups,
    list_largest_groups,
)
from persqa_client.report.row_index import RowIndex, index_error
from persqa_client.report.row_pairs import RowPairs
from persqa_client.report.row_queries import (
    PairQuery,
    RowQuery,
    count_figures,
    count_found,
    count_overview,
    count_run,
    find_named,
    list_row_ids,
    locate_named,
    make_condition,
    read_place,
)
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import leave_out_advice
from persqa_client.report.thumbnails import Picture
from persqa_client.run.edited_answer import EditChecker
from persqa_client.storage.decisions import Decision
from persqa_client.types import Json

MOST_ROWS = 200
# Characters of an answer that is the name of its group.
MAX_NAME_LENGTH = 300
# Times the duration of counting.
COUNTING_PAUSE = 15


class RowsChanged(Exception):
    """A request is about rows, or an answer, that are no longer there."""


class ShownRow(NamedTuple):
    """A row as a page shows it. If the rows were read anew since, it is found by its name and its question."""

    epoch: int
    key: int
    name: str = ""
    question: str = ""


class ServedRuns:
    """Thread-safe."""

    def __init__(self, outputs: Sequence[Path]) -> None:
        """Raises SettingsError for an output that can't be read."""
        try:
            self._index = RowIndex(is_matched=len(outputs) > 1)
        except (OSError, sqlite3.Error) as error:
            raise index_error(error) from error
        try:
            self._runs = [FollowedRun(self._index, number, output) for number, output in enumerate(outputs)]
        except SettingsError as error:
            self._index.close()
            raise leave_out_advice(error) from error
        self._pairs = RowPairs(self._index)
        self._groups = AnswerGroups(self._index)
        self._timelines = [FollowedTimeline(output) for output in outputs]
        self.names = name_outputs(outputs)
        # Changes with what is shown.
        self.version = 0
        self._overview: Json = {"version": -1}
        # Until when the overview may be an old one, by the clock of time.monotonic.
        self._patience = 0.0
        self._problems: dict[int, str] = {}
        # Whether the index could not be written.
        self._is_broken = False
        self._checkers: dict[int, EditChecker] = {}

    def close(self) -> None:
        self._index.close()

    @property
    def epoch(self) -> int:
        """How often rows were read anew. The numbers of rows are those of one epoch."""
        return self._index.epoch

    def advance(self, *, strict: bool = False) -> bool:
        """Reads what is new in the files, a few hundred rows at most. Returns whether anything changed.

        What can't be read becomes a note of the page, or with ``strict`` a SettingsError.
        """
        changed = False
        with self._index.lock:
            for number, run in enumerate(() if self._is_broken else self._runs):
                before = self._problems.pop(number, None)
                try:
                    changed |= run.advance()
                except SettingsError as error:
                    problem = leave_out_advice(error)
                    if strict:
                        raise problem from error
                    self._problems[number] = str(problem)
                except sqlite3.Error as error:
                    self._stop_reading(error)
                    if strict:
                        raise index_error(error) from error
                    return True
                changed |= self._problems.get(number) != before
                changed |= self._timelines[number].look(run.open.state)
            changed |= self._pairs.is_due()
            self.version += changed
        return changed

    def _stop_reading(self, error: sqlite3.Error) -> None:
        """An index that lacks a part of what was written, as on a full disk, is not gone on with."""
        self._is_broken = True
        self._problems[len(self._runs)] = str(index_error(error))
        self.version += 1

    def group_answers(self) -> bool:
        """Looks for near-duplicates among a few hundred answers. Returns whether there were any to look at. Only one
        thread may call it.
        """
        if self._is_broken:
            return False
        try:
            has_more = self._groups.advance()
        except sqlite3.Error as error:
            with self._index.lock:
                self._stop_reading(error)
            return False
        with self._index.lock:
            self.version += has_more
        return has_more

    def describe(self, *, may_be_old: bool = False) -> Json:
        """The data about all rows that the page shows.

        ``may_be_old``: while much is new, the counts may be old. Counting then takes a small part of the time.
        """
        with self._index.lock:
            started = time.monotonic()
            is_old = self._overview["version"] != self.version
            if is_old and not (may_be_old and started < self._patience):
                runs = [self._describe_output(number) for number in range(len(self._runs))]
                fields = {"format": FORMAT, "version": self.version, "epoch": self.epoch, "runs": runs}
                notes = {"problems": [self._problems[number] for number in sorted(self._problems)]}
                counts = count_overview(self._index.database)
                counts["group_count"] = count_groups(self._index.database)
                counts["groups"] = cut_groups(list_largest_groups(self._index.database))
                self._overview = fields | notes | counts | {"read": self._measure_progress()}
                now = time.monotonic()
                self._patience = now + COUNTING_PAUSE * (now - started)
            return self._overview

    def _measure_progress(self) -> float:
        """The part of the files that is read. What can't be read is not waited for."""
        going = (run.measure_progress() for number, run in enumerate(self._runs) if number not in self._problems)
        done, size = map(sum, zip((0, 0), *going, strict=True))
        return done / size if size else 1

    def _describe_output(self, number: int) -> Json:
        run = self._runs[number]
        described = describe_output(run.output, self.names[number], run.open.state, run.open.identity)
        # What is written in an editor is kept by the path, which is that of one run only.
        described["path"] = str(run.output.absolute())
        return described | count_run(self._index.database, number)

    def find_rows(self, query: RowQuery) -> Json:
        """The rows of a page, with their questions and pictures, and how many fit. Raises ValueError."""
        condition = make_condition(query.filters)
        size = min(query.size, MOST_ROWS)
        with self._index.lock:
            database = self._index.database
            near, is_next = query.keep or query.beyond, not query.keep
            position = locate_named(database, condition, query.order, near, is_next=is_next) if near else None
            count = count_found(database, condition)
            page = min(query.page, max(0, (count - 1) // size)) if position is None else position // size
            ids = list_row_ids(database, condition, query.order, page * size, size)
            others = [each for each in query.also[:MOST_ROWS] if each not in ids]
            found: Json = {"version": self.version, "epoch": self.epoch, "count": count, "page": page}
            found["kept"] = position
            return found | self._make_part(ids, others)

    def _make_part(self, ids: Sequence[int], others: Sequence[int]) -> Json:
        questions: dict[str, int] = {}
        # Pictures have the address that the first row gives them, so that rows of one picture share it.
        pictures: dict[tuple[int, str], tuple[int, str]] = {}
        numbered = [count_run(self._index.database, number)["numbers_questions"] for number in range(len(self._runs))]
        grouped = find_groups(self._index.database, [*ids, *others])

        def make_row(row_id: int) -> Json | None:
            found = self._read_row(row_id)
            if found is None:
                return None
            run, row = found
            name = make_row_name(row, run, len(self._runs), numbers_questions=numbered[run])
            for number, reference in enumerate(row.images):
                pictures.setdefault((run, reference), (len(pictures), f"picture/{self.epoch}/{row_id}/{number}"))
            shown = [pictures[run, reference][0] for reference in row.images]
            asked = questions.setdefault(row.question, len(questions))
            fields = {"id": name, "key": row_id, "run": run, "pictures": shown, "question": asked}
            described = make_row_json(row, self._runs[run].open.identity)
            # Texts that are cut can't be decided on. What a decision is about, if the answer does not say it.
            text, edited = row.decided_text, (row.decision.text if row.decision is not None else None) or ""
            fields["long"] = any(each != cut_text(each) for each in (text, edited))
            fields["about"] = text if text != described.get("answer") and text == cut_text(text) else None
            fields["group"] = grouped.get(row_id)
            return drop_empty(fields | described)

        rows = [make_row(each) for each in ids]
        also = [make_row(each) for each in others]
        return {
            "groups": cut_groups(list_groups(self._index.database, set(grouped.values()))),
            "rows": [row for row in rows if row is not None],
            "also": [row for row in also if row is not None],
            "questions": [[cut_text(text), ""] for text in questions],
            "pictures": [[describe_reference(reference), url, ""] for (_, reference), (_, url) in pictures.items()],
        }

    def _read_row(self, row_id: int) -> tuple[int, ReportRow] | None:
        found = read_place(self._index.database, row_id)
        if found is None:
            return None
        run = self._runs[found[0].run]
        try:
            return found[0].run, run.open.read_row(*found).with_decision(run.decisions.decisions)
        except SettingsError:
            return None  # the file was changed in place, and is read anew at the next look

    def count_figures(self, filters: Mapping[str, str]) -> Json:
        """Raises ValueError."""
        condition = make_condition(filters)
        with self._index.lock:
            figures = count_figures(self._index.database, condition)
            # Timelines of all runs, whatever the filters are.
            figures["timelines"] = [timeline.describe() for timeline in self._timelines]
            groups = [group for group, _ in figures["groups"]]
            figures["group_names"] = cut_groups(list_groups(self._index.database, groups))
            figures["compared"] = [self._groups.count, self._groups.most]
        figures["questions"] = [[number, cut_text(text)] for number, text in figures["questions"]]
        return figures

    def find_pairs(self, query: PairQuery) -> Json:
        """Two runs side by side: their sums, and the rows of a page of pairs of which one fits the filters. That for a
        run does not count. Raises ValueError.
        """
        runs = (query.first, query.second)
        if len(self._runs) < 2 or not set(runs) <= set(range(len(self._runs))):
            raise ValueError("there is no such run")
        condition = make_condition({name: value for name, value in query.filters.items() if name != "run"})
        with self._index.lock:
            size = min(query.size, MOST_ROWS // 2)
            compared = self._pairs.compare(runs, condition, query.kind, query.page, size)
            sides = [
                side | {"latency": (self._timelines[run].describe() or {}).get("latency")}
                for side, run in zip(compared.sides, runs, strict=True)
            ]
            ids = {row_id for pair in compared.pairs for row_id in pair[:2] if row_id is not None}
            found = compared._asdict() | {"sides": sides, "version": self.version, "epoch": self.epoch}
            return found | self._make_part(sorted(ids), [])

    def find_picture(self, epoch: int, row_id: int, number: int) -> Picture | None:
        """None for a picture that no row names."""
        with self._index.lock:
            found = self._read_row(row_id) if epoch == self.epoch else None
            if found is None or not 0 <= number < len(found[1].images):
                return None
            return Picture(found[1].images[number], self._runs[found[0]].open.roots)

    def check_edit(self, shown: ShownRow, text: str) -> Json:
        """The result of the run's checks of a new answer. Raises RowsChanged."""
        with self._index.lock:
            run, row = self._take_row(shown)
            checker = self._checkers.get(run)
            if checker is None:
                checker = self._checkers[run] = EditChecker(self._runs[run].open.identity)
        verdict = checker.check(text, describe_asked(row, self._runs[run].open.identity))
        problem = verdict.problem
        return {
            "code": problem.code if problem is not None else None,
            "message": problem.message if problem is not None else None,
            "doubts": list(verdict.doubts),
            "names": verdict.is_name_unchecked,
        }

    def decide(self, shown: ShownRow, answer: str, change: Mapping[str, str | None]) -> None:
        """Stores a decision about an answer, which is on the disk when this returns.

        ``change`` has a kind, the text of an edit, or a comment; what it lacks stays as in the decision before it.
        Raises RowsChanged if the row has another answer now, ValueError for what is no decision, and StorageError.
        """
        with self._index.lock:
            run, row = self._take_row(shown)
            if row.decided_text != answer:
                raise RowsChanged
            followed = self._runs[run]
            with suppress(SettingsError):
                followed.refresh_decisions()
            before = followed.decisions.decisions.find(row.subject, answer)
            followed.decisions.append(make_decision(before or Decision(row.subject, answer, "none"), change))
            try:
                followed.refresh_decisions()
            except sqlite3.Error as error:
                self._stop_reading(error)  # the decision is stored
            except SettingsError:
                pass
            self.version += 1
            self._patience = 0.0

    def _take_row(self, shown: ShownRow) -> tuple[int, ReportRow]:
        is_reread = shown.epoch != self.epoch
        row_id = find_named(self._index.database, shown.name) if is_reread else shown.key
        found = None if row_id is None else self._read_row(row_id)
        if found is None or (is_reread and cut_text(found[1].question) != shown.question):
            raise RowsChanged
        return found


def cut_groups(groups: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[group, size, text[:MAX_NAME_LENGTH]] for group, size, text in groups]
