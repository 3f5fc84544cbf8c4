"""Compares two runs in the index: which rows ask the same, what became of each, and sums of both.

Rows are matched like those of a report (``matching.py``): by keys, the best one first, each row at most once. The
database does it, so that memory does not grow with the runs. The pairs are kept until there are other rows, or until
other runs are compared.
"""

from __future__ import annotations

import time
from sqlite3 import Connection
from typing import Any, NamedTuple

from persqa_client.report.row_index import KEY_COLUMNS, RowIndex
from persqa_client.report.row_queries import Condition, choose_rows
from persqa_client.types import Json

# Times the duration of matching, while rows are added.
MATCHING_PAUSE = 15
# Failures may not say their question; questions that are known and differ are not the same.
MAY_MATCH = {KEY_COLUMNS[-1]: "NOT (one.says_question AND other.says_question)"}
MATCH = """
INSERT INTO matched WITH
one AS MATERIALIZED (
    SELECT row_id, says_question, {key} AS key, row_number() OVER (PARTITION BY {key} ORDER BY row_id) AS number
    FROM match_keys WHERE run = ? AND {key} IS NOT NULL AND row_id NOT IN (SELECT first FROM matched)
),
other AS MATERIALIZED (
    SELECT row_id, says_question, {key} AS key, row_number() OVER (PARTITION BY {key} ORDER BY row_id) AS number
    FROM match_keys WHERE run = ? AND {key} IS NOT NULL AND row_id NOT IN (SELECT second FROM matched)
)
SELECT one.row_id, other.row_id FROM one JOIN other ON other.key = one.key AND other.number = one.number WHERE {test}
"""
# In the order of the first run, then what only the second one has.
PAIR_FIRST = """
INSERT INTO pairs (first, second, kind) SELECT one.id, other.id, CASE
    WHEN other.id IS NULL THEN 'only_first'
    WHEN one.code <> '' AND other.code <> '' THEN 'both_failed'
    WHEN one.code <> '' THEN 'gained'
    WHEN other.code <> '' THEN 'lost'
    WHEN (SELECT answer FROM match_keys WHERE row_id = one.id) = (SELECT answer FROM match_keys WHERE row_id = other.id)
    THEN 'same' ELSE 'changed' END
FROM rows AS one LEFT JOIN matched ON matched.first = one.id LEFT JOIN rows AS other ON other.id = matched.second
WHERE one.run = ? ORDER BY one.id
"""
PAIR_SECOND = """
INSERT INTO pairs (first, second, kind) SELECT NULL, id, 'only_second' FROM rows
WHERE run = ? AND id NOT IN (SELECT second FROM matched) ORDER BY id
"""


class Comparison(NamedTuple):
    # Numbers of the pairs that fit the filters, by kind.
    counts: list[list[Any]]
    sides: list[Json]
    # Rows of the pairs of the page, None for a run that has no such row, and their kinds.
    pairs: list[tuple[int | None, int | None, str]]
    found: int
    page: int


class RowPairs:
    """Whoever calls it holds the lock of the index."""

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        # The runs that are paired, and the state of the rows.
        self._runs: tuple[int, int] | None = None
        self._state: tuple[int, int] = (0, 0)
        # Until when the pairs may lack new rows, by the clock of time.monotonic, and whether pairs that lack some were
        # returned.
        self._patience = 0.0
        self._lacks_rows = False

    def compare(self, runs: tuple[int, int], condition: Condition, kind: str, page: int, size: int) -> Comparison:
        """``condition``: pairs of which a row fits. ``kind``: empty for all."""
        database = self._index.database
        self._match(runs)
        chosen = choose_rows(database, condition)
        fits = "1"
        if chosen.sql != "1":
            fits = "(first IN (SELECT id FROM chosen) OR second IN (SELECT id FROM chosen))"
        query = f"SELECT kind, count(*) FROM pairs WHERE {fits} GROUP BY kind"
        counts = [list(each) for each in database.execute(query)]
        found = sum(count for each, count in counts if kind in ("", each))
        page = min(page, max(0, (found - 1) // size))
        query = f"SELECT first, second, kind FROM pairs WHERE {fits} AND ? IN ('', kind) ORDER BY id LIMIT ? OFFSET ?"
        pairs = database.execute(query, (kind, size, page * size)).fetchall()
        return Comparison(counts, [add_side(database, side, fits) for side in ("first", "second")], pairs, found, page)

    def is_due(self) -> bool:
        """Whether a comparison that lacked new rows can be asked for again. Says so once."""
        is_due = self._lacks_rows and time.monotonic() >= self._patience
        self._lacks_rows &= not is_due
        return is_due

    def _match(self, runs: tuple[int, int]) -> None:
        database, started = self._index.database, time.monotonic()
        state = (self._index.epoch, database.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0])
        is_usable = self._runs == runs and self._state[0] == state[0]
        self._lacks_rows = is_usable and self._state != state and started < self._patience
        if self._lacks_rows or (is_usable and self._state == state):
            return
        self._runs = None  # until all pairs are there
        database.execute("DELETE FROM matched")
        database.execute("DELETE FROM pairs")
        if runs[0] == runs[1]:
            database.execute("INSERT INTO matched SELECT id, id FROM rows WHERE run = ?", runs[:1])
        else:
            for key in KEY_COLUMNS:
                database.execute(MATCH.format(key=key, test=MAY_MATCH.get(key, "1")), runs)
        database.execute(PAIR_FIRST, runs[:1])
        database.execute(PAIR_SECOND, runs[1:])
        database.commit()
        self._runs, self._state = runs, state
        now = time.monotonic()
        self._patience = now + MATCHING_PAUSE * (now - started)


def add_side(database: Connection, side: str, fits: str) -> Json:
    """The sums of one run."""
    query = (
        "SELECT code, count(*), total(prompt * counted), total(completion * counted), total(counted), total(size) "
        f"FROM pairs JOIN rows ON rows.id = pairs.{side} WHERE {fits} GROUP BY code"
    )
    found = database.execute(query).fetchall()
    sums = [int(sum(each[column] for each in found)) for column in range(1, 6)]
    count, prompt, completion, counted, length = sums
    codes = [[code, number] for code, number, *_ in found if code]
    accepted = count - sum(number for _, number in codes)
    return {
        "count": count,
        "accepted": accepted,
        "codes": codes,
        "prompt": prompt,
        "completion": completion,
        "counted": counted,
        "length": length,
    }
