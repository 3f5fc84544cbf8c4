"""Finds near-duplicate answers in the index, step by step while rows are added, and lists them.

A group has the number of the row with its first answer, which is not 0. The step works outside the index's lock, so
that requests do not wait for it.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Connection
from typing import Any

from persqa_client.report.near_duplicates import ComparedAnswer, GroupFinder
from persqa_client.report.row_index import RowIndex

# Answers of one step.
STEP_ANSWERS = 500
# The finder keeps about 900 bytes for each answer.
MAX_ANSWERS = 200_000
# Groups in the filter.
MOST_GROUPS = 300
LISTED = "SELECT alike, count(*) AS size, (SELECT text FROM answers WHERE row_id = alike) FROM rows"


class AnswerGroups:
    """``most``: answers that are compared, the first ones of the index. Only one thread may call ``advance``."""

    def __init__(self, index: RowIndex, most: int = MAX_ANSWERS) -> None:
        self._index = index
        self.most = most
        self._epoch = 0
        # Answers that were compared, and the last of their rows.
        self.count = self._last = 0
        self._start_over()

    def _start_over(self) -> None:
        self._finder = GroupFinder()
        # Row of the first answer, by the finder's number of the group.
        self._firsts = array("q")
        self.count = self._last = 0

    def advance(self) -> bool:
        """Compares the next answers, at most ``STEP_ANSWERS``. Returns whether there were any."""
        index = self._index
        with index.lock:
            if self._epoch != index.epoch:
                self._start_over()
                self._epoch = index.epoch
                index.database.execute("UPDATE rows SET alike = 0 WHERE alike > 0")
            batch = list_answers(index.database, self._last, min(STEP_ANSWERS, self.most - self.count))
        found: list[tuple[int, int]] = []
        for row_id, run, asked, pictures, text in batch:
            group = self._finder.find(ComparedAnswer(run, asked, (pictures,) if pictures else (), text))
            if group == len(self._firsts):
                self._firsts.append(row_id)
            else:
                first = self._firsts[group]
                found += [(first, first), (first, row_id)]
        if batch:
            self._store(found, batch[-1][0], len(batch))
        return bool(batch)

    def _store(self, found: Iterable[tuple[int, int]], last: int, count: int) -> None:
        with self._index.lock:
            if self._epoch != self._index.epoch:
                return  # the rows have other numbers now
            self._index.database.executemany("UPDATE rows SET alike = ? WHERE id = ?", found)
            self._index.database.commit()
            self._last = last
            self.count += count


def list_answers(database: Connection, after: int, count: int) -> list[tuple[int, int, int, int, str]]:
    """Lists accepted rows: the row, its run, question and pictures, and the answer without its tag."""
    query = (
        "SELECT rows.id, rows.run, rows.asked, answers.pictures, replace(answers.text, answers.tag, '') FROM answers "
        "JOIN rows ON rows.id = answers.row_id WHERE answers.row_id > ? ORDER BY answers.row_id LIMIT ?"
    )
    return database.execute(query, (after, count)).fetchall()


def list_largest_groups(database: Connection) -> list[list[Any]]:
    """The group, how many answers it has, and the first one."""
    query = f"{LISTED} WHERE alike > 0 GROUP BY alike ORDER BY size DESC, alike LIMIT ?"
    return [list(each) for each in database.execute(query, (MOST_GROUPS,))]


def find_groups(database: Connection, row_ids: Sequence[int]) -> dict[int, int]:
    """Groups by rows; a row that is in none is left out."""
    query = f"SELECT id, alike FROM rows WHERE alike > 0 AND id IN ({', '.join('?' * len(row_ids))})"
    return dict(database.execute(query, row_ids).fetchall())


def list_groups(database: Connection, groups: Collection[int]) -> list[list[Any]]:
    """The groups in the form of ``list_largest_groups``."""
    query = f"{LISTED} WHERE alike > 0 AND alike IN ({', '.join('?' * len(groups))}) GROUP BY alike"
    return [list(each) for each in database.execute(query, tuple(groups))]


def count_groups(database: Connection) -> int:
    return int(database.execute("SELECT count(DISTINCT alike) FROM rows WHERE alike > 0").fetchone()[0])
