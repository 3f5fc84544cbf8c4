"""Near-duplicates of an index: the groups of a report, found in steps, also when rows are added or read anew."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from persqa_client.outcomes import Outcome
from persqa_client.report.data import ReportData
from persqa_client.report.row_groups import STEP_ANSWERS, AnswerGroups, list_largest_groups
from persqa_client.report.row_index import RowIndex
from persqa_client.report.row_queries import RowQuery
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import read_run
from persqa_client.report.served_runs import ServedRuns
from tests.report.runs import WrittenRun, make_failure, make_record
from tests.report.test_matching import asked
from tests.report.test_row_pairs import add_rows
from tests.report.test_served_runs import append_to, list_names, read_all, serve

WORDS = [f"word{number}" for number in range(12)]


def make_answers(count: int) -> list[Outcome]:
    rng = random.Random(4)
    return [
        make_failure(number)
        if number % 9 == 0
        else make_record(number, f"<mam> holds {' '.join(rng.choices(WORDS, k=3))}.", asked=f"What is {number % 3}?")
        for number in range(1, count + 1)
    ]


def group_all(runs: ServedRuns) -> None:
    while runs.group_answers():
        pass


def test_the_groups_are_those_of_a_report(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish(make_answers(STEP_ANSWERS + 70))
    reported: dict[int, list[str]] = {}
    for part in ReportData([read_run(output)], max_thumbnails=0).iter_parts():
        for row in part["rows"]:
            if "group" in row:
                reported.setdefault(row["group"], []).append(row["id"])
    with serve(output) as runs:
        assert runs.describe()["group_count"] == 0
        group_all(runs)
        described = runs.describe()
        assert described["group_count"] == len(reported)
        found = [list_names(runs, {"group": str(group)}) for group, _, _ in described["groups"]]
        assert [len(names) for names in found] == [size for _, size, _ in described["groups"]]
        assert sorted(found) == sorted(reported.values())
        names = list_names(runs, {"group": "any"}, "group")
        assert names == [name for names in reported.values() for name in names][: len(names)]
        rows = runs.find_rows(RowQuery({"group": "any"}, size=1))
        assert [group for group, _, _ in rows["groups"]] == [row["group"] for row in rows["rows"]]
        figures = runs.count_figures({})
        assert figures["alike"] == sum(map(len, reported.values()))
        assert (figures["group_count"], figures["compared"][0]) == (len(reported), dict(figures["outcomes"])[""])
        assert {group for group, _ in figures["groups"]} == {group for group, *_ in figures["group_names"]}


def test_an_answer_that_is_added_joins_its_group(tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    outcomes: list[Outcome] = [make_record(1), make_record(2, "<mam> sits by the sea."), make_record(3)]
    with serve(run.leave_unfinished(outcomes[:2])) as runs:
        group_all(runs)
        assert list_names(runs, {"group": "any"}) == []
        append_to(run, outcomes)
        read_all(runs)
        version = runs.version
        group_all(runs)
        assert runs.version > version
        assert list_names(runs, {"group": "any"}) == ["1", "3"]
        [[_, size, first]] = runs.describe()["groups"]
        assert (size, first) == (2, "<mam> holds a cup.")


@contextmanager
def index_rows(rows: Sequence[ReportRow]) -> Iterator[RowIndex]:
    index = RowIndex()
    add_rows(index, 0, rows)
    yield index
    index.close()


def test_rows_that_are_read_anew_are_compared_anew() -> None:
    with index_rows([asked(1), asked(2), asked(3, "Where?", "b.png")]) as index:
        groups = AnswerGroups(index)
        while groups.advance():
            pass
        assert [size for _, size, _ in list_largest_groups(index.database)] == [2]
        index.forget_rows(0)
        add_rows(index, 0, [asked(1, "Where?", "b.png"), asked(2), asked(3)])
        while groups.advance():
            pass
        assert (groups.count, [each[:2] for each in list_largest_groups(index.database)]) == (3, [[2, 2]])


def test_only_so_many_answers_are_compared() -> None:
    with index_rows([asked(number) for number in range(1, 6)]) as index:
        groups = AnswerGroups(index, most=3)
        while groups.advance():
            pass
        assert (groups.count, [each[:2] for each in list_largest_groups(index.database)]) == (3, [[1, 3]])


def test_an_index_that_is_closed_under_a_thread_is_no_crash(tmp_path: Path) -> None:
    runs = ServedRuns([WrittenRun(tmp_path).finish([make_record(1), make_record(2)])])
    read_all(runs)
    runs.close()
    assert not runs.group_answers()
    assert not runs.group_answers()
