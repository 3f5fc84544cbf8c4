"""Each strategy through ``persqa run`` against a real server: every row in one place, and told by which it came."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.commands import Finished, run, sample_rows, write_rows
from tests.live.endpoints import LiveEndpoint

ROWS = 24


def run_by(strategy: str, endpoint: LiveEndpoint, folder: Path) -> Finished:
    # A model with random weights may write no tag at all.
    flags = [*endpoint.flags, "--details", "--strategy", strategy, "--max-bad-answers", "0"]
    done = run(write_rows(folder, sample_rows(ROWS)), flags)
    assert done.code in (0, 1), done.said
    assert len(done.good) + len(done.failed) == ROWS
    assert done.facts["strategy"] == strategy
    assert all(row["pers_qa_meta"]["strategy"] == strategy for row in done.good)
    assert all(row["pers_qa_meta"]["answer"].startswith("<mam>") for row in done.good)
    return done


def test_direct_owes_nothing_to_the_server(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    done = run_by("direct", endpoint, tmp_path)
    assert all("constraint" not in row["pers_qa_meta"]["made_good_by"] for row in done.good)


@pytest.mark.parametrize(("strategy", "step"), [("constrain", "constraint"), ("prefill", "prefill")])
def test_what_the_server_obeys_brings_the_tag(strategy: str, step: str, endpoint: LiveEndpoint, tmp_path: Path) -> None:
    done = run_by(strategy, endpoint, tmp_path)
    assert len(done.good) > 0.6 * ROWS, done.said
    assert all(step in row["pers_qa_meta"]["made_good_by"] for row in done.good)


def test_a_surrogate_is_asked_about_and_the_tag_comes_out(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    done = run_by("surrogate", endpoint, tmp_path)
    assert len(done.good) > 0.6 * ROWS, done.said
    for row in done.good:
        meta = row["pers_qa_meta"]
        assert "Charlie" in meta["raw"]
        assert "Charlie" not in row["pers_qa"]
        assert "surrogate" in meta["made_good_by"]
