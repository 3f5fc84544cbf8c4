"""Queries of the index: the rows that fit filters, in an order, their numbers, and the data of the figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, NamedTuple

from persqa_client.report.row_index import RowPlace
from persqa_client.types import Json, TaskId

PLACE = "rows.run, rows.row, rows.question, rows.line"
# What rows are sorted by first; rows that are equal stay as in the input.
ORDERS = {
    "input": "''",
    "shortest": "CASE WHEN rows.code = '' THEN rows.size ELSE 9e15 END",
    "longest": "CASE WHEN rows.code = '' THEN -rows.size ELSE 9e15 END",
    "tokens": "-rows.completion",
    "attempts": "-max(rows.attempts, 1)",
    "question": "(SELECT text FROM questions WHERE questions.id = rows.asked) COLLATE NOCASE",
    "group": "CASE WHEN rows.alike > 0 THEN rows.alike ELSE 9e15 END",
    "outcome": "rows.code",
}
# Words in quotation marks stay together.
WORDS = re.compile(r'"([^"]+)"|(\S+)')
ROW_ID = re.compile(r"(?:(\d{1,9})-)?(?:o(\d{1,15})|(\d{1,15})(?:\.(\d{1,9}))?)", re.ASCII)
MOST_OPTIONS = 300
# As many as a figure has bars: each row may have a question and words of its own.
MOST_BARS = 25


class RowQuery(NamedTuple):
    filters: Mapping[str, str]
    order: str = "input"
    page: int = 0
    size: int = 60
    # Name of a row whose page is asked for instead, if it fits the filters.
    keep: str | None = None
    # Name of a row: the page of the next one that fits is asked for instead, as rows leave the pages before.
    beyond: str | None = None
    # Rows that are asked for besides.
    also: tuple[int, ...] = ()


class PairQuery(NamedTuple):
    """Numbers of two runs, and which of their rows: those of a kind, or all."""

    filters: Mapping[str, str]
    first: int = 0
    second: int = 1
    kind: str = ""
    page: int = 0
    size: int = 30


@dataclass(frozen=True, slots=True)
class Condition:
    sql: str
    values: tuple[Any, ...]


def make_condition(filters: Mapping[str, str]) -> Condition:
    """The filters are those of ``web/rows.js``; empty ones are left out. Raises ValueError."""
    parts: list[str] = ["1"]
    values: list[Any] = []

    def add(sql: str, *own: Any) -> None:
        parts.append(sql)
        values.extend(own)

    outcome, language = filters.get("outcome", ""), filters.get("language", "")
    if filters.get("run"):
        add("rows.run = ?", int(filters["run"]))
    if outcome in ("accepted", "failed"):
        add("rows.code = ''" if outcome == "accepted" else "rows.code <> ''")
    elif outcome:
        add("rows.code = ?", outcome.removeprefix("="))
    if filters.get("question"):
        add("rows.asked = ?", int(filters["question"]))
    if language:
        add("rows.language = ?", "" if language == "?" else language)
    for name in ("doubt", "step"):
        if filters.get(name):
            marks = f"SELECT 1 FROM marks WHERE marks.row_id = rows.id AND kind = '{name}s' AND name = ?"
            add(f"EXISTS ({marks})", filters[name])
    if filters.get("words"):
        add("rows.code = '' AND rows.words = ?", filters["words"])
    if group := filters.get("group", ""):
        add("rows.alike > 0") if group == "any" else add("rows.alike = ?", int(group))
    for name, sign in (("shortest", ">="), ("longest", "<=")):
        if filters.get(name):
            add(f"rows.code = '' AND rows.size {sign} ?", float(filters[name]))
    for name, sql in (("repaired", "rows.repaired"), ("doubtful", "rows.doubtful"), ("reasked", "rows.asks > 1")):
        if filters.get(name):
            add(sql)
    if filters.get("failed"):
        add("rows.code <> ''")
    if decision := filters.get("decision", ""):
        add(*make_decision_condition(decision))
    for found in WORDS.finditer(filters.get("search", "").lower()):
        text = "SELECT 1 FROM texts WHERE texts.row_id = rows.id AND instr(texts.text, ?)"
        add(f"(EXISTS ({text}) OR rows.row || '' = ?)", *([found[1] or found[2]] * 2))
    return Condition(" AND ".join(parts), tuple(values))


def make_decision_condition(decision: str) -> tuple[Any, ...]:
    if decision == "any":
        return ("rows.decision NOT IN ('', 'stale')",)
    if decision == "undecided":
        return ("rows.decision IN ('', 'stale')",)
    return ("rows.commented",) if decision == "commented" else ("rows.decision = ?", decision)


def count_found(database: Connection, condition: Condition) -> int:
    query = f"SELECT count(*) FROM rows WHERE {condition.sql}"
    return int(database.execute(query, condition.values).fetchone()[0])


def list_row_ids(database: Connection, condition: Condition, order: str, start: int, size: int) -> list[int]:
    query = f"SELECT id FROM rows WHERE {condition.sql} ORDER BY {ORDERS[order]}, {PLACE} LIMIT ? OFFSET ?"
    return [found[0] for found in database.execute(query, (*condition.values, size, start))]


def locate_named(
    database: Connection, condition: Condition, order: str, name: str, *, is_next: bool = False
) -> int | None:
    """The place of the row with this name, such as ``17.2``, among the rows that fit, from 0. None if it does not fit.

    ``is_next``: of the first row after it instead, also if it does not fit itself.
    """
    row_id = find_named(database, name)
    if row_id is None:
        return None
    key, *place, fits = database.execute(
        f"SELECT {ORDERS[order]}, {PLACE}, {condition.sql} FROM rows WHERE id = ?", (*condition.values, row_id)
    ).fetchone()
    sign = "<=" if is_next else "<"
    query = f"SELECT count(*) FROM rows WHERE {condition.sql} AND ({ORDERS[order]}, {PLACE}) {sign} (?, ?, ?, ?, ?)"
    position = int(database.execute(query, (*condition.values, key, *place)).fetchone()[0])
    return position if (position < count_found(database, condition) if is_next else fits) else None


def find_named(database: Connection, name: str) -> int | None:
    """The names are those of ``data.make_row_name``; the first question of a line has the name of the line, too."""
    found = ROW_ID.fullmatch(name)
    if found is None:
        return None
    run = int(found[1] or 1) - 1
    values: tuple[int, ...]
    if found[2]:
        query, values = "run = ? AND line = ? AND NOT known AND NOT failed", (run, int(found[2]))
    elif found[4]:
        query, values = "run = ? AND row = ? AND question = ? AND known", (run, int(found[3]), int(found[4]) - 1)
    else:
        query, values = "run = ? AND row = ? AND known", (run, int(found[3]))
    row = database.execute(f"SELECT id FROM rows WHERE {query} ORDER BY {PLACE} LIMIT 1", values).fetchone()
    return None if row is None else int(row[0])


def read_place(database: Connection, row_id: int) -> tuple[RowPlace, list[tuple[int, int]]] | None:
    """The place of the row, and its lines in the details."""
    query = "SELECT run, row, question, line, known, failed, start, length FROM rows WHERE id = ?"
    found = database.execute(query, (row_id,)).fetchone()
    if found is None:
        return None
    place = RowPlace(*found)
    is_known = bool(place.is_known)
    return place, find_details(database, place.run, TaskId(place.row, place.question)) if is_known else []


def find_details(database: Connection, run: int, task_id: TaskId) -> list[tuple[int, int]]:
    query = "SELECT start, length FROM details WHERE run = ? AND row = ? AND question = ? ORDER BY start"
    return list(database.execute(query, (run, *task_id)))


def iter_accepted_tasks(database: Connection, run: int, after: TaskId) -> Iterator[TaskId]:
    """The tasks whose last line in the details is about a line of the output."""
    query = (
        "SELECT row, question, accepted, max(start) FROM details WHERE run = ? AND (row, question) > (?, ?) "
        "GROUP BY row, question ORDER BY row, question"
    )
    for row, question, is_accepted, _ in database.execute(query, (run, *after)):
        if is_accepted:
            yield TaskId(row, question)


def count_answers(database: Connection, run: int) -> int:
    query = "SELECT accepted, max(start) FROM details WHERE run = ? GROUP BY row, question"
    return int(database.execute(f"SELECT count(*) FROM ({query}) WHERE accepted", (run,)).fetchone()[0])


def list_decided(database: Connection, run: int) -> list[int]:
    query = "SELECT id FROM rows WHERE run = ? AND (decision <> '' OR commented)"
    return [found[0] for found in database.execute(query, (run,))]


def count_run(database: Connection, run: int) -> Json:
    """``numbers_questions``: whether an input line has several questions."""
    query = "SELECT count(*), total(bare), total(known AND question > 0) FROM rows WHERE run = ?"
    rows, bare, numbered = database.execute(query, (run,)).fetchone()
    return {"rows": rows, "without_details": int(bare), "numbers_questions": numbered > 0}


def count_overview(database: Connection) -> Json:
    """The counts of the page for all rows, whatever the filters are."""
    questions = database.execute(
        "SELECT asked, questions.text, questions.language, count(*) AS number FROM rows JOIN questions ON "
        "questions.id = asked GROUP BY asked ORDER BY number DESC, asked LIMIT ?",
        (MOST_OPTIONS,),
    )
    return {
        "rows": count_found(database, Condition("1", ())),
        "pictures": database.execute("SELECT count(DISTINCT digest) FROM pictures").fetchone()[0],
        "outcomes": _count_by(database, "code", "rows"),
        "languages": _count_by(database, "language", "rows"),
        "doubts": _count_by(database, "name", "marks WHERE kind = 'doubts'"),
        "steps": _count_by(database, "name", "marks WHERE kind = 'steps'"),
        "decisions": _count_by(database, "decision", "rows WHERE decision <> ''"),
        "commented": database.execute("SELECT count(*) FROM rows WHERE commented").fetchone()[0],
        "questions": [list(found) for found in questions],
    }


def _count_by(database: Connection, column: str, source: str) -> list[list[Any]]:
    return [list(each) for each in database.execute(f"SELECT {column}, count(*) FROM {source} GROUP BY 1 ORDER BY 1")]


def choose_rows(database: Connection, condition: Condition) -> Condition:
    """An equal condition for several queries, which searches the rows once."""
    if not condition.values and condition.sql == "1":
        return condition
    database.execute("DELETE FROM chosen")
    database.execute(f"INSERT INTO chosen SELECT id FROM rows WHERE {condition.sql}", condition.values)
    return Condition("rows.id IN (SELECT id FROM chosen)", ())


def count_figures(database: Connection, condition: Condition) -> Json:
    """The numbers of ``addToFigures`` in ``web/rows.js``, of the rows that fit."""
    condition = choose_rows(database, condition)

    def count_by(column: str, more: str = "1", limit: int = -1) -> list[list[Any]]:
        query = f"SELECT {column}, count(*) AS number FROM rows WHERE {condition.sql} AND {more}"
        found = database.execute(f"{query} GROUP BY 1 ORDER BY number DESC, 1 LIMIT {limit}", condition.values)
        return [list(each) for each in found]

    def count_different(column: str, more: str = "1") -> int:
        query = f"SELECT count(DISTINCT {column}) FROM rows WHERE {condition.sql} AND {more}"
        return int(database.execute(query, condition.values).fetchone()[0])

    def count_marks(kind: str) -> list[list[Any]]:
        query = f"SELECT name, count(*) FROM marks JOIN rows ON rows.id = row_id WHERE kind = ? AND {condition.sql}"
        return [list(each) for each in database.execute(f"{query} GROUP BY 1", (kind, *condition.values))]

    sums = f"SELECT total(prompt), total(completion), total(counted) FROM rows WHERE {condition.sql} AND counted"
    prompt, completion, counted = database.execute(sums, condition.values).fetchone()
    groups = f"SELECT count(DISTINCT alike), count(*) FROM rows WHERE {condition.sql} AND alike > 0"
    group_count, alike = database.execute(groups, condition.values).fetchone()
    asked = count_by("asked", limit=MOST_BARS)
    questions = ", ".join(str(number) for number, _ in asked)
    names = database.execute(f"SELECT id, text FROM questions WHERE id IN ({questions})")
    return {
        "outcomes": count_by("code"),
        "asked": asked,
        "accepted": count_by("asked", f"code = '' AND asked IN ({questions})"),
        "questions": [list(each) for each in names],
        "questions_count": count_different("asked"),
        "words": count_by("words", "code = ''", MOST_BARS),
        "words_count": count_different("words", "code = ''"),
        "languages": count_by("language"),
        "lengths": count_by("size", "code = ''"),
        "tokens": count_by("completion", "counted"),
        "steps": count_marks("steps"),
        "doubts": count_marks("doubts"),
        "decisions": count_by("decision", "decision <> ''"),
        "groups": count_by("alike", "alike > 0", MOST_BARS),
        "group_count": group_count,
        "alike": alike,
        "prompt": int(prompt),
        "completion": int(completion),
        "counted": int(counted),
        "found": count_found(database, condition),
    }
