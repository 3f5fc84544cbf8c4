"""Pictures that go up once, at a real server: what is named is what the model sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.commands import PICTURES, Finished, Json, run, sample_rows, write_rows
from tests.live.endpoints import Endpoint

QUESTIONS = 3


def run_samples(folder: Path, endpoint: Endpoint, *flags: str) -> Finished:
    """Several questions about each sample picture; held to one answer each, so that prompts can be compared."""
    folder.mkdir()
    input = write_rows(folder, sample_rows(len(PICTURES)))
    return run(input, [*endpoint.wordy_flags, "--questions", str(QUESTIONS), "--details", *flags])


def prompts(done: Finished) -> dict[str, int]:
    """Tokens of each question's prompt, of those that were asked once: a second asking is longer."""
    metas: list[tuple[str, Json]] = [(row["id"], row["pers_qa_meta"]) for row in done.good]
    return {f"{id} {meta['question']}": meta["usage"]["prompt"] for id, meta in metas if meta["asks"] == 1}


def test_a_picture_that_is_named_counts_as_one_that_is_sent(endpoint: Endpoint, tmp_path: Path) -> None:
    once = run_samples(tmp_path / "once", endpoint)
    if not once.facts["server"]["uuid"]:
        pytest.skip(f"{endpoint.base_url} keeps no pictures")
    each_time = run_samples(tmp_path / "each", endpoint, "--no-uuid")

    assert [len(done.good) for done in (once, each_time)] == [QUESTIONS * len(PICTURES)] * 2, once.said
    named, sent = prompts(once), prompts(each_time)
    both = named.keys() & sent.keys()
    assert len(both) > len(PICTURES)
    assert {key: named[key] for key in both} == {key: sent[key] for key in both}
