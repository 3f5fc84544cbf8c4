"""An index of the rows of runs in a database on disk: where their lines are, and what filters, orders and figures need.

Memory does not grow with the runs. The database is a temporary file, which is removed with the index.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact
from persqa_client.language import HAN_CHARACTER, detect_language
from persqa_client.outcomes import Failure, Record
from persqa_client.report.data import cut_text, make_row_json
from persqa_client.report.matching import KEYS, find_question_text
from persqa_client.report.near_duplicates import MAX_COMPARED_LENGTH
from persqa_client.report.row_reader import ReportRow
from persqa_client.storage.decisions import Subject
from persqa_client.types import NO_USAGE, Json

# One column for each key by which rows of several runs are matched.
KEY_COLUMNS = tuple(f"key_{number}" for number in range(len(KEYS)))
SCHEMA = f"""
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, run INTEGER, row INTEGER, question INTEGER, line INTEGER, known INTEGER,
    failed INTEGER, start INTEGER, length INTEGER, subject INTEGER,
    asked INTEGER, code TEXT, language TEXT, size INTEGER, prompt INTEGER, completion INTEGER, counted INTEGER,
    attempts INTEGER, asks INTEGER, repaired INTEGER, doubtful INTEGER, words TEXT, bare INTEGER,
    decision TEXT, commented INTEGER, alike INTEGER DEFAULT 0
);
CREATE TABLE texts (row_id INTEGER PRIMARY KEY, run INTEGER, text TEXT);
CREATE INDEX place ON rows (run, row, question, line);
CREATE INDEX subjects ON rows (subject);
CREATE INDEX decided ON rows (decision) WHERE decision <> '';
CREATE INDEX grouped ON rows (alike) WHERE alike > 0;
CREATE TABLE answers (row_id INTEGER PRIMARY KEY, run INTEGER, pictures INTEGER, tag TEXT, text TEXT);
CREATE TABLE details (run INTEGER, row INTEGER, question INTEGER, start INTEGER, length INTEGER, accepted INTEGER);
CREATE INDEX detail ON details (run, row, question, start);
CREATE TABLE match_keys (
    row_id INTEGER PRIMARY KEY, run INTEGER, answer INTEGER, says_question INTEGER,
    {", ".join(f"{name} INTEGER" for name in KEY_COLUMNS)}
);
CREATE TABLE matched (first INTEGER PRIMARY KEY, second INTEGER UNIQUE);
CREATE TABLE pairs (id INTEGER PRIMARY KEY, first INTEGER, second INTEGER, kind TEXT);
CREATE TABLE marks (row_id INTEGER, run INTEGER, kind TEXT, name TEXT);
CREATE INDEX mark ON marks (row_id);
CREATE TABLE questions (id INTEGER PRIMARY KEY, text TEXT UNIQUE, language TEXT);
CREATE TABLE chosen (id INTEGER PRIMARY KEY);
CREATE TABLE pictures (run INTEGER, digest INTEGER, PRIMARY KEY (run, digest)) WITHOUT ROWID;
"""
COLUMNS = (
    *("run", "row", "question", "line", "known", "failed", "start", "length"),
    *("subject", "asked", "code", "language", "size", "prompt", "completion", "counted", "attempts", "asks"),
    *("repaired", "doubtful", "words", "bare", "decision", "commented"),
)
# Pages of 4 KiB that a connection keeps in memory.
CACHE_PAGES = 2000
WORD_END = re.compile(r"[.,;:!?]+$")


class RowPlace(NamedTuple):
    """The place of a row. ``row`` and ``question`` of a row whose input line is not known are those of the row before
    it in the output.
    """

    run: int
    row: int
    question: int
    line: int
    is_known: bool
    is_failed: bool
    # Bytes in the output or the failure file.
    start: int
    length: int


class IndexedRow(NamedTuple):
    place: RowPlace
    row: ReportRow


class RowIndex:
    """Whoever uses the database holds the lock. ``is_matched``: whether the rows of runs are compared."""

    def __init__(self, *, is_matched: bool = False) -> None:
        self._is_matched = is_matched
        self.lock = threading.Lock()
        # How often rows were forgotten. The numbers of rows are those of one epoch.
        self.epoch = 0
        self._folder = tempfile.TemporaryDirectory(prefix="persqa-view-", dir=find_temporary_folder())
        self.database = sqlite3.connect(Path(self._folder.name) / "rows.sqlite", check_same_thread=False)
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size={CACHE_PAGES}", "temp_store=FILE"):
            self.database.execute(f"PRAGMA {setting}")
        self.database.executescript(SCHEMA)

    def close(self) -> None:
        """Waits for a thread that uses the database; a later use raises sqlite3.ProgrammingError."""
        with self.lock:
            self.database.close()
            self._folder.cleanup()

    def add_rows(self, rows: Sequence[IndexedRow], identity: Json) -> None:
        found: list[tuple[Any, ...]] = []
        marks: list[tuple[int, int, str, str]] = []
        texts: list[tuple[int, int, str]] = []
        answers: list[tuple[int, int, int, str, str]] = []
        keys: list[tuple[int | None, ...]] = []
        next_id = self.database.execute("SELECT coalesce(max(id), 0) + 1 FROM rows").fetchone()[0]
        for row_id, (place, row) in enumerate(rows, next_id):
            asked, language = self._number_question(row.question)
            fields = make_row_json(row, identity)
            found.append((row_id, *place, *describe_row(row, fields, asked, language)))
            texts.append((row_id, place.run, store_text(collect_searched_text(row, fields))))
            marks += [
                (row_id, place.run, kind, name) for kind in ("steps", "doubts") for name in fields.get(kind) or ()
            ]
            if isinstance(row.outcome, Record):
                answers.append((row_id, place.run, *describe_answer(row.images, row.outcome)))
            if self._is_matched:
                keys.append((row_id, place.run, *hash_match_keys(row)))
            self.database.executemany(
                "INSERT OR IGNORE INTO pictures VALUES (?, ?)", [(place.run, hash_text(each)) for each in row.images]
            )
        slots = ", ".join("?" * (len(COLUMNS) + 1))
        self.database.executemany(f"INSERT INTO rows (id, {', '.join(COLUMNS)}) VALUES ({slots})", found)
        self.database.executemany("INSERT INTO marks VALUES (?, ?, ?, ?)", marks)
        # Apart from the rows, which are then read without them.
        self.database.executemany("INSERT INTO texts VALUES (?, ?, ?)", texts)
        self.database.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", answers)
        slots = ", ".join("?" * (len(KEY_COLUMNS) + 4))
        self.database.executemany(f"INSERT INTO match_keys VALUES ({slots})", keys)
        self.database.commit()

    def add_details(self, run: int, places: Iterable[tuple[int, int, int, int, bool]]) -> None:
        """Adds, for each line: the row, the question, the place, the length, and whether it is about a line of the
        output.
        """
        self.database.executemany(f"INSERT INTO details VALUES ({run}, ?, ?, ?, ?, ?)", places)
        self.database.commit()

    def forget_rows(self, run: int) -> None:
        for table in ("rows", "marks", "texts", "answers", "match_keys", "pictures"):
            self.database.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
        self.database.commit()
        self.epoch += 1

    def forget_details(self, run: int) -> None:
        self.database.execute("DELETE FROM details WHERE run = ?", (run,))
        self.database.commit()

    def set_decision(self, row_id: int, kind: str, is_commented: bool) -> None:
        self.database.execute("UPDATE rows SET decision = ?, commented = ? WHERE id = ?", (kind, is_commented, row_id))
        self.database.commit()

    def find_subject(self, run: int, subject: Subject) -> list[int]:
        """Rows that may be the subject's: the pictures and the question are compared by a digest."""
        query = "SELECT id FROM rows WHERE subject = ? AND run = ?"
        return [found[0] for found in self.database.execute(query, (hash_subject(subject), run))]

    def _number_question(self, text: str) -> tuple[int, str]:
        query = "SELECT id, language FROM questions WHERE text = ?"
        found = self.database.execute(query, (store_text(text),)).fetchone()
        if found is None:
            language = detect_language(text) or ""
            cursor = self.database.execute(
                "INSERT INTO questions (text, language) VALUES (?, ?)", (store_text(text), language)
            )
            return int(cursor.lastrowid or 0), language
        return int(found[0]), str(found[1])


def find_temporary_folder() -> str | None:
    """``/tmp`` may be in memory; ``/var/tmp`` is on a disk."""
    is_usable = "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK | os.X_OK)
    return "/var/tmp" if is_usable else None


def index_error(error: Exception) -> SettingsError:
    folder = find_temporary_folder() or tempfile.gettempdir()
    return SettingsError(
        f"the index can't be written in {folder} ({error}): free space or set TMPDIR to another folder, and start again"
    )


def describe_row(row: ReportRow, fields: Json, asked: int, language: str) -> tuple[Any, ...]:
    """The columns after those of the place."""
    outcome = row.outcome
    code = outcome.code if isinstance(outcome, Failure) else ""
    is_counted = outcome.usage != NO_USAGE
    return (
        hash_subject(row.subject),
        asked,
        code,
        language,
        len(outcome.answer) if isinstance(outcome, Record) else 0,
        outcome.usage.prompt,
        outcome.usage.completion,
        is_counted,
        outcome.attempts,
        outcome.asks,
        bool(fields.get("repaired")),
        bool(fields.get("doubts")),
        store_text(find_first_words(outcome.answer, outcome.tag)) if isinstance(outcome, Record) else None,
        not row.has_details,
        describe_decision(row),
        row.decision is not None and bool(row.decision.comment),
    )


def describe_answer(images: Sequence[str], record: Record) -> tuple[int, str, str]:
    """Its pictures, 0 if they are not known, its tag, and as much of its text as is compared."""
    pictures = hash_text(dump_compact(list(images)).decode()) if images else 0
    return pictures, record.tag, store_text(record.answer[: MAX_COMPARED_LENGTH + len(record.tag)])


def hash_match_keys(row: ReportRow) -> Iterator[int | None]:
    """The columns of ``match_keys`` after the run."""
    yield hash_text(row.outcome.answer) if isinstance(row.outcome, Record) else None
    yield find_question_text(row.outcome) is not None
    for make_key in KEYS:
        key = make_key(row)
        yield None if key is None else hash_text(repr(key))


def describe_decision(row: ReportRow) -> str:
    """A kind, "stale", or empty without a decision."""
    if row.decision is None:
        return ""
    if row.decision.answer != row.decided_text:
        return "stale"
    return "" if row.decision.kind == "none" else row.decision.kind


def collect_searched_text(row: ReportRow, fields: Json) -> str:
    """The text in which a row is searched, as in ``web/rows.js``, without its number."""
    texts = [cut_text(row.question), fields.get("answer"), fields.get("message"), fields.get("code"), *row.images]
    for raw in fields.get("raws") or ():
        texts += [raw.get("text"), raw.get("problem")]
    texts += [*(fields.get("doubts") or ()), *(fields.get("steps") or ())]
    if row.decision is not None:
        texts += [row.decision.text, row.decision.comment]
    return "\n".join(filter(None, texts)).lower()


def find_first_words(answer: str, tag: str) -> str:
    """Two words after the tag, or two Chinese characters, as in ``web/rows.js``."""
    start = answer.removeprefix(tag)[:80].lstrip()
    if HAN_CHARACTER.match(start):
        return start[:2]
    return WORD_END.sub("", " ".join(start.split(maxsplit=2)[:2])).lower()


def hash_text(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def hash_subject(subject: Subject) -> int:
    return hash_text(dump_compact([list(subject.images), subject.question]).decode())


def store_text(text: str) -> str:
    """SQLite stores UTF-8 only; a name of a file may have other bytes."""
    return text.encode("utf-8", "backslashreplace").decode()
