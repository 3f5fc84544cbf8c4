"""Whole runs against a real server: nothing is lost, nothing is out of order, no bad answer gets through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.commands import Finished, Json, read_rows, run, sample_rows, write_rows
from tests.live.endpoints import LiveEndpoint

REFUSED = frozenset(
    {"empty", "only_tag", "no_tag", "pronoun_only", "refusal", "truncated", "unfinished", "content_filter", "echo"}
    | {"loop", "wrong_language", "name_leak", "unknown_tag", "unknown_markup", "placeholder"}
)
"""The codes of answers, as the README has them."""
MANY = int(os.environ.get("PERSQA_LIVE_ROWS", "200"))
SOME = 30


def run_samples(folder: Path, endpoint: LiveEndpoint, count: int, *flags: str) -> Finished:
    return run(write_rows(folder, sample_rows(count)), [*endpoint.flags, "--details", *flags])


@pytest.fixture(scope="module")
def held(endpoint: LiveEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A large run, held to the tag where the server obeys a constraint."""
    return run_samples(tmp_path_factory.mktemp("held"), endpoint, MANY)


@pytest.fixture(scope="module")
def free(endpoint: LiveEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run whose model is only asked to begin with the tag. One with random weights never does."""
    flags = ("--strategy", "direct", "--max-bad-answers", "0")
    return run_samples(tmp_path_factory.mktemp("free"), endpoint, SOME, *flags)


def ids(rows: list[Json]) -> list[int]:
    return [int(row["id"].removeprefix("row-")) for row in rows]


def assert_each_row_has_one_place(done: Finished, count: int) -> None:
    assert sorted(ids(done.good) + ids(done.failed)) == list(range(count)), done.said
    assert all(row["error"]["code"] and row["error"]["message"] for row in done.failed)
    assert done.code == (1 if done.failed else 0)


def test_each_of_many_rows_is_in_the_output_or_failed_with_a_reason(held: Finished) -> None:
    assert_each_row_has_one_place(held, MANY)
    assert len(held.good) > 0.75 * MANY, held.said


def test_each_of_some_rows_without_a_constraint_has_one_place_too(free: Finished) -> None:
    assert_each_row_has_one_place(free, SOME)


@pytest.mark.parametrize("name", ["held", "free"])
def test_rows_come_out_in_the_order_in_which_they_went_in(name: str, request: pytest.FixtureRequest) -> None:
    done: Finished = request.getfixturevalue(name)

    assert ids(done.good) == sorted(ids(done.good))
    assert ids(done.failed) == sorted(ids(done.failed))


@pytest.mark.parametrize("name", ["held", "free"])
def test_no_answer_in_the_output_lacks_the_tag(name: str, request: pytest.FixtureRequest) -> None:
    done: Finished = request.getfixturevalue(name)

    for row in done.good:
        assert row["pers_qa_meta"]["answer"].startswith("<mam>")
        assert row["pers_qa"] == f"Question: {row['pers_qa_meta']['question']}, Answer: {row['pers_qa_meta']['answer']}"


def test_what_a_model_says_without_the_tag_is_failed_for_that(free: Finished) -> None:
    """Only a tag that the model itself wrote, in whatever form, lets an answer through."""
    assert {row["error"]["code"] for row in free.failed} <= REFUSED
    assert all("mam" in row["pers_qa_meta"]["raw"].lower() for row in free.good)


def test_a_constraint_that_is_obeyed_shows_in_what_the_model_said(held: Finished) -> None:
    if held.facts["server"]["constraint"] is None:
        pytest.skip("this server obeys no constraint")

    assert all(row["pers_qa_meta"]["raw"].startswith("<mam>") for row in held.good)


def test_a_finished_run_is_not_paid_again(held: Finished, endpoint: LiveEndpoint) -> None:
    before = held.output.read_bytes()

    again = run(held.output.with_name("in.jsonl"), [*endpoint.flags, "--details"])

    assert "already finished" in again.said
    assert again.code == held.code
    assert held.output.read_bytes() == before


def test_an_output_line_is_its_input_line_with_more_at_its_end(held: Finished) -> None:
    lines = held.output.with_name("in.jsonl").read_bytes().splitlines()
    output = held.output.read_bytes().splitlines()

    for line, row in zip(output, read_rows(held.output), strict=True):
        assert line.startswith(lines[ids([row])[0]].removesuffix(b"}") + b', "pers_qa"')
