"""Two runs of an index side by side: which rows make a pair, what became of them, and the sums."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from persqa_client.outcomes import Outcome, Record
from persqa_client.report.matching import match_rows
from persqa_client.report.row_index import IndexedRow, RowIndex, RowPlace
from persqa_client.report.row_pairs import Comparison, RowPairs
from persqa_client.report.row_queries import PairQuery, make_condition
from persqa_client.report.row_reader import ReportRow
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.report.runs import IDENTITY, WrittenRun, make_failure, make_input_failure, make_record
from tests.report.test_browser_compare import FIRST, SECOND
from tests.report.test_browser_plots import write_timeline
from tests.report.test_matching import asked, make_row
from tests.report.test_served_runs import append_to, read_all, serve


@contextmanager
def index_runs(*runs: Sequence[ReportRow]) -> Iterator[tuple[RowIndex, list[list[int]]]]:
    """The numbers of the rows are given in the order in which they are added: first those of the first run."""
    index = RowIndex(is_matched=True)
    ids: list[list[int]] = []
    try:
        for number, rows in enumerate(runs):
            add_rows(index, number, rows)
            found = index.database.execute("SELECT id FROM rows WHERE run = ? ORDER BY id", (number,))
            ids.append([each[0] for each in found])
        yield index, ids
    finally:
        index.close()


def add_rows(index: RowIndex, run: int, rows: Sequence[ReportRow]) -> None:
    places = [
        RowPlace(run, *(row.task_id or TaskId(0)), row.line, row.task_id is not None, False, 0, 0) for row in rows
    ]
    index.add_rows([IndexedRow(*each) for each in zip(places, rows, strict=True)], IDENTITY)


def compare(
    pairs: RowPairs, runs: tuple[int, int] = (0, 1), filters: Mapping[str, str] | None = None, **choice: Any
) -> Comparison:
    known: dict[str, Any] = {"kind": "", "page": 0, "size": 10_000}
    return pairs.compare(runs, make_condition(filters or {}), **known | choice)


def pair_as_report(one: Sequence[ReportRow], other: Sequence[ReportRow]) -> set[tuple[int | None, int | None]]:
    """Places of the rows that ``matching`` gives the same number."""
    numbers = match_rows([one, other])
    first, second = ({number: place for place, number in enumerate(each)} for each in numbers)
    return {(first.get(number), second.get(number)) for number in {*first, *second}}


def make_random_row(rng: random.Random, line: int) -> ReportRow:
    """Lines that move, folders that move, other words for a question, failures that do not say it, unknown lines."""
    image = f"{rng.choice(('old', 'new'))}/{line % 7}.png"
    question = rng.randrange(3)
    words = f"{rng.choice(('What', 'Which'))} is {question}?"
    moved = line + rng.choice((0, 0, 0, 1, 40))
    kind = rng.randrange(6)
    if kind == 0:
        return make_row(make_input_failure(moved), image)
    if kind == 1:
        return make_row(make_failure(moved, asked=words), image)
    identifier = f"q{question}" if kind < 4 else None
    row = make_record(moved, f"<mam> is {rng.randrange(2)}.", asked=words, question_id=identifier)
    return make_row(row, image, **({"task_id": None} if kind == 5 and rng.random() < 0.3 else {}))


@pytest.mark.parametrize("seed", range(8))
def test_the_same_rows_make_a_pair_as_in_a_report(seed: int) -> None:
    rng = random.Random(seed)
    runs = [[make_random_row(rng, line) for line in range(1, 120)] for _ in range(2)]
    expected = pair_as_report(*runs)
    assert any(None not in pair for pair in expected)
    with index_runs(*runs) as (index, (first, second)):
        found = compare(RowPairs(index)).pairs
    names: list[dict[int | None, int | None]] = [{None: None} for _ in runs]
    for each, ids in zip(names, (first, second), strict=True):
        each.update((row_id, place) for place, row_id in enumerate(ids))
    assert {(names[0][one], names[1][other]) for one, other, _ in found} == expected


def test_pairs_have_kinds_filters_and_pages() -> None:
    runs = [[make_row(each, f"{each.task_id.row}.png") for each in run] for run in (FIRST, SECOND)]
    with index_runs(*runs) as (index, _):
        pairs = RowPairs(index)
        found = compare(pairs)
        kinds = ["changed", "same", "lost", "gained", "only_first", "only_second"]
        assert [kind for *_, kind in found.pairs] == kinds
        assert found.counts == [[kind, 1] for kind in sorted(kinds)]
        assert [compare(pairs, page=page, size=4).pairs for page in (0, 1, 9)] == [
            found.pairs[:4],
            *[found.pairs[4:]] * 2,
        ]
        assert (compare(pairs, page=9, size=4).page, compare(pairs, kind="both_failed").page) == (1, 0)
        lost = compare(pairs, kind="lost", size=1)
        assert (lost.found, lost.pairs) == (1, [found.pairs[2]])
        assert len(lost.counts) == 6
        filtered = compare(pairs, filters={"failed": "true"})
        assert [kind for *_, kind in filtered.pairs] == ["lost", "gained"]
        assert [side["count"] for side in filtered.sides] == [2, 2]
        assert [side["codes"] for side in filtered.sides] == [[["refusal", 1]], [["no_tag", 1]]]
        swapped = compare(pairs, (1, 0))
        assert [kind for *_, kind in swapped.pairs] == [
            "changed",
            "same",
            "gained",
            "lost",
            "only_first",
            "only_second",
        ]
        assert compare(pairs, (0, 0)).counts == [["both_failed", 1], ["same", 4]]


def test_rows_that_are_added_or_forgotten_change_the_pairs() -> None:
    with index_runs([asked(1), asked(2)], [asked(1)]) as (index, _):
        pairs = RowPairs(index)
        assert compare(pairs).counts == [["only_first", 1], ["same", 1]]
        index.forget_rows(1)
        assert compare(pairs).counts == [["only_first", 2]]
        add_rows(index, 1, [asked(2), asked(1)])
        # While rows are added, matching takes a small part of the time; asking for other runs shows all rows.
        compare(pairs, (1, 0))
        assert compare(pairs).counts == [["same", 2]]


def test_pairs_that_could_not_be_stored_are_made_again() -> None:
    with index_runs([asked(1), asked(2)], [asked(1)]) as (index, _):
        pairs = RowPairs(index)
        before = compare(pairs).counts
        index.database.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON pairs BEGIN SELECT RAISE(FAIL, 'full'); END")
        with pytest.raises(sqlite3.Error, match="full"):
            compare(pairs, (1, 0))
        index.database.execute("DROP TRIGGER full")
        assert compare(pairs).counts == before


def test_a_served_comparison_has_the_rows_and_sums_of_both_runs(tmp_path: Path) -> None:
    outputs = [WrittenRun(tmp_path, f"{name}.jsonl").finish(run) for name, run in (("a", FIRST), ("b", SECOND))]
    write_timeline(RunFiles.for_output(outputs[1]).timeline)
    with serve(*outputs) as runs:
        found = runs.find_pairs(PairQuery({"run": "1"}, kind="lost"))
        rows = {row["key"]: row["id"] for row in found["rows"]}
        assert [(rows[one], rows[other], kind) for one, other, kind in found["pairs"]] == [("1-3", "2-3", "lost")]
        assert found["sides"][0] == {
            "count": 5,
            "accepted": 4,
            "codes": [["refusal", 1]],
            "prompt": 600,
            "completion": 29,
            "counted": 5,
            "length": sum(len(each.answer) for each in FIRST if isinstance(each, Record)),
            "latency": None,
        }
        assert found["sides"][1]["latency"]["answers"] == 50
        for first, second in ((0, 2), (-1, 0)):
            with pytest.raises(ValueError, match="no such run"):
                runs.find_pairs(PairQuery({}, first, second))
    with serve(outputs[0]) as runs, pytest.raises(ValueError, match="no such run"):
        runs.find_pairs(PairQuery({}, 0, 0))


def test_a_comparison_that_lacks_new_rows_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persqa_client.report.row_pairs.MATCHING_PAUSE", 1e6)
    run = WrittenRun(tmp_path, "grows.jsonl")
    outcomes: list[Outcome] = [make_record(1), make_record(2)]
    whole = WrittenRun(tmp_path, "whole.jsonl").finish(outcomes)
    with serve(whole, run.leave_unfinished(outcomes[:1])) as runs:
        assert runs.find_pairs(PairQuery({}))["counts"] == [["only_first", 1], ["same", 1]]
        append_to(run, outcomes)
        read_all(runs)
        shown = runs.find_pairs(PairQuery({}))
        assert shown["counts"] == [["only_first", 1], ["same", 1]]
        assert not runs.advance()
        monkeypatch.setattr(time, "monotonic", lambda: 1e12)
        assert runs.advance()
        assert runs.version > shown["version"]
        assert runs.find_pairs(PairQuery({}))["counts"] == [["same", 2]]
        assert not runs.advance()
