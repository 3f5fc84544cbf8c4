"""Pictures that go up once, at a real server: what is named is what the model sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from persqa_client.client.dialect import Dialect
from persqa_client.client.request import Body, render_body
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint as Address
from persqa_client.config import Sampling
from persqa_client.types import EncodedImage, Request
from tests.live.commands import ANSWER_CODES, PICTURES, Finished, Json, run, sample_rows, write_rows
from tests.live.endpoints import LiveEndpoint

QUESTIONS = 3


def run_samples(folder: Path, endpoint: LiveEndpoint, *flags: str) -> Finished:
    """Several questions about each sample picture; held to one answer each, so that prompts can be compared."""
    folder.mkdir()
    input = write_rows(folder, sample_rows(len(PICTURES)))
    return run(input, [*endpoint.wordy_flags, "--questions", str(QUESTIONS), "--details", *flags])


def prompts(done: Finished) -> dict[str, int]:
    """Tokens of each question's prompt, of those that were asked once: a second asking is longer."""
    metas: list[tuple[str, Json]] = [(row["id"], row["pers_qa_meta"]) for row in done.good]
    return {f"{id} {meta['question']}": meta["usage"]["prompt"] for id, meta in metas if meta["asks"] == 1}


def test_a_picture_that_is_named_counts_as_one_that_is_sent(endpoint: LiveEndpoint, tmp_path: Path) -> None:
    once = run_samples(tmp_path / "once", endpoint)
    if not once.facts["server"]["uuid"]:
        pytest.skip(f"{endpoint.base_url} keeps no pictures")
    each_time = run_samples(tmp_path / "each", endpoint, "--no-uuid")

    for done in (once, each_time):
        assert len(done.good) + len(done.failed) == QUESTIONS * len(PICTURES), done.said
        assert {row["error"]["code"] for row in done.failed} <= ANSWER_CODES, done.said
    named, sent = prompts(once), prompts(each_time)
    both = named.keys() & sent.keys()
    assert len(both) > len(PICTURES)
    assert {key: named[key] for key in both} == {key: sent[key] for key in both}


def asked(model: str, *, in_pieces: bool) -> Body:
    """A question about a sample picture, whose answer is drawn by a seed."""
    picture = EncodedImage(Path(PICTURES[0]).read_bytes(), "image/jpeg", 640, 427)
    request = Request("You look closely.", (picture,), "What is it?", seed=7, stream=in_pieces)
    return render_body(request, model=model, sampling=Sampling(max_tokens=40), dialect=Dialect())


async def test_an_answer_in_pieces_is_the_one_that_comes_whole(endpoint: LiveEndpoint) -> None:
    if endpoint.owner != "vllm":
        pytest.skip(f"{endpoint.base_url} is no vLLM, which answers alike to one seed")
    key = os.environ[endpoint.key_env] if endpoint.key_env else None
    begun: list[str] = []
    address = Address.model_validate({"base_url": endpoint.base_url, "model": endpoint.model, "api_key": key})
    async with Client(address) as client:
        whole = await client.send(asked(endpoint.model, in_pieces=False))
        pieces = await client.send(asked(endpoint.model, in_pieces=True), lambda: begun.append("begun"))
    assert (pieces, begun) == (whole, ["begun"])
