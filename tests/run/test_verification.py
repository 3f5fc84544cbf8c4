"""Answers that the model is asked to verify: what is sent, what a verdict decides, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import Endpoint, PersQAClient, Recipe, SettingsError, generate
from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.config import VerifyChoice
from persqa_client.endpoints.profile import Reply
from persqa_client.errors import Interrupted, RowError, RunStopped
from persqa_client.outcomes import Failure, Outcome, Record, Verification
from persqa_client.questions.bank import Bank
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.pipeline import Completer, Pipeline
from persqa_client.run.summary import Summary, list_results
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.simulator.settings import read_answers
from persqa_client.types import Completion, Request, Row, TaskId, Usage
from tests.support.fakes import FakeCompleter, load_nothing

ROW = Row(7, b'{"image": ["a.jpg"]}', ("a.jpg",), question="What is <mam> doing?")
GOOD = "<mam> reads a book."
DOUBTFUL = "<mam> might be reading."
VERDICT_USAGE = Usage(50, 1)
MODEL = "persqa-simulator"


def verdict(text: str) -> Completion:
    return Completion(text, "stop", VERDICT_USAGE, "fake")


async def answer(completer: Completer, verify: VerifyChoice = "all", row: Row = ROW) -> Outcome:
    tasks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS, strategy="constrain")
    return await Pipeline(completer, load_nothing, tasks, verify=verify).answer(row, TaskId(row.number))


async def test_a_confirmed_answer_is_accepted_and_the_control_is_reported() -> None:
    completer = FakeCompleter([GOOD, verdict("yes"), verdict("no")])
    record = await answer(completer)
    assert isinstance(record, Record)
    assert (record.answer, record.asks, record.attempts, record.doubts) == (GOOD, 1, 3, ())
    assert record.verification == Verification("yes", "no", 2, Usage(100, 2))
    assert record.usage == Usage(200, 12)
    first, asked, control = completer.requests
    assert (asked.system, asked.pictures, asked.seed) == (first.system, first.pictures, first.seed)
    assert (asked.pattern, asked.prefill, asked.turns, asked.max_tokens) == ("yes|no", None, (), 64)
    assert f"Answer: {GOOD}\n" in asked.prompt
    assert control == replace(asked, pictures=())


async def test_the_control_decides_nothing() -> None:
    for blind in ("yes", "no", "Hm."):
        record = await answer(FakeCompleter([GOOD, verdict("yes"), verdict(blind)]))
        assert isinstance(record, Record)
        assert record.doubts == ()
    record = await answer(FakeCompleter([GOOD, verdict("yes"), RowError("rejected", "No.", attempts=1)]))
    assert isinstance(record, Record)
    assert (record.doubts, record.verification) == ((), Verification("yes", "failed", 2, VERDICT_USAGE))


@pytest.mark.parametrize(
    ("verify", "text", "requests"),
    [("off", DOUBTFUL, 1), ("doubtful", GOOD, 1), ("doubtful", DOUBTFUL, 3), ("all", GOOD, 3), ("all", DOUBTFUL, 3)],
)
async def test_the_choice_says_which_answers_are_verified(verify: VerifyChoice, text: str, requests: int) -> None:
    completer = FakeCompleter([text, verdict("yes"), verdict("no")])
    record = await answer(completer, verify)
    assert isinstance(record, Record)
    assert len(completer.requests) == requests
    assert record.doubts == (("hedged",) if text == DOUBTFUL else ())
    assert (record.verification is not None) == (requests == 3)


async def test_a_no_rejects_the_answer_and_the_model_is_asked_again_with_the_reason() -> None:
    completer = FakeCompleter(
        ["<mam> sleeps on it.", verdict("no"), verdict("no"), GOOD, verdict("yes"), verdict("no")]
    )
    record = await answer(completer)
    assert isinstance(record, Record)
    assert (record.answer, record.asks, record.attempts) == (GOOD, 2, 6)
    assert (record.refused, record.doubts) == ("not_verified", ("re_asked",))
    assert record.verification == Verification("yes", "no", 4, Usage(200, 4))
    again = completer.requests[3]
    assert [turn.text for turn in again.turns] == [
        "<mam> sleeps on it.",
        "That answer can't be used: compared with the picture, it is not right. Please answer the question again, "
        "beginning with <mam>.",
    ]


async def test_chinese_answers_are_verified_and_asked_again_in_chinese() -> None:
    row = ROW._replace(question="<mam>在做什么？")
    completer = FakeCompleter(
        ["<mam>在睡觉。", verdict("否"), verdict("否"), "<mam>在看书。", verdict("是"), verdict("否")]
    )
    record = await answer(completer, row=row)
    assert isinstance(record, Record)
    assert record.answer == "<mam>在看书。"
    assert completer.requests[1].pattern == "是|否"
    assert "和图片对照后，发现它不正确" in completer.requests[3].turns[1].text


async def test_two_answers_that_are_not_verified_are_a_failure() -> None:
    completer = FakeCompleter([GOOD, verdict("no"), verdict("yes"), DOUBTFUL, verdict("No."), verdict("no")])
    failure = await answer(completer)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.stage, failure.raw, failure.asks) == ("not_verified", "answer", DOUBTFUL, 2)
    assert (failure.attempts, failure.usage) == (6, Usage(400, 24))
    assert failure.verification == Verification("no", "no", 4, Usage(200, 4))
    assert "Both answers were rejected; last reason: the model says that it is not right" in failure.message


async def test_an_unreadable_verdict_is_a_doubt_and_needs_no_control() -> None:
    completer = FakeCompleter([GOOD, verdict("It is hard to say.")])
    record = await answer(completer)
    assert isinstance(record, Record)
    assert record.doubts == ("unreadable_verdict",)
    assert record.verification == Verification("unreadable", None, 1, VERDICT_USAGE)


async def test_an_answer_stays_if_its_verification_fails_for_good() -> None:
    record = await answer(FakeCompleter([DOUBTFUL, RowError("http_500", "It failed.", attempts=5)]))
    assert isinstance(record, Record)
    assert (record.answer, record.doubts, record.attempts) == (DOUBTFUL, ("hedged", "unverified"), 6)
    assert record.verification == Verification("failed", None, 5)


@pytest.mark.parametrize("stop", [RunStopped("server_away", "Away."), Interrupted()])
async def test_an_answer_stays_if_the_run_stops_before_its_verdict(stop: Exception) -> None:
    record = await answer(FakeCompleter([DOUBTFUL, stop]))
    assert isinstance(record, Record)
    assert (record.answer, record.doubts, record.attempts) == (DOUBTFUL, ("hedged", "unverified"), 1)
    assert record.verification == Verification("failed")
    assert [raw.text for raw in record.raws] == [DOUBTFUL]
    record = await answer(FakeCompleter([GOOD, verdict("yes"), stop]))
    assert isinstance(record, Record)
    assert (record.doubts, record.verification) == ((), Verification("yes", "failed", 1, VERDICT_USAGE))


async def test_a_row_is_asked_again_by_the_next_run_if_the_run_stops_after_a_no() -> None:
    with pytest.raises(Interrupted):
        await answer(FakeCompleter([GOOD, verdict("no"), Interrupted(), Interrupted()]))


@pytest.mark.parametrize(
    "thinking",
    [Completion(GOOD, "stop", Usage(100, 90), reasoning_tokens=80), Completion(f"<think>Hm.</think>{GOOD}", "stop")],
)
async def test_a_model_that_thinks_has_room_for_it(thinking: Completion) -> None:
    completer = FakeCompleter([thinking, verdict("<think>Is it? No.</think>\n\nYes."), verdict("no")])
    record = await answer(completer)
    assert isinstance(record, Record)
    assert record.verification is not None
    assert record.verification.verdict == "yes"
    assert completer.requests[1].max_tokens is None


class Source:
    """An endpoint of several, which answers its own verifications."""

    is_ready = True

    def __init__(self, replies: list[Completion]) -> None:
        self.here = FakeCompleter(replies)
        self.judged: list[str | None] = []

    def judge(self, problem: str | None) -> None:
        self.judged.append(problem)

    async def ask_again(self, request: Request) -> Reply:
        return await self.here.complete(request)

    async def ask_another(self, request: Request) -> Reply:
        raise AssertionError(request)


async def test_the_endpoint_of_the_answer_verifies_it() -> None:
    source = Source([verdict("no"), verdict("no"), verdict("yes"), verdict("no")])

    class FromSource(FakeCompleter):
        async def complete(self, request: Request) -> Reply:
            return replace(await super().complete(request), source=source)

    assert isinstance(await answer(FromSource([GOOD, GOOD])), Record)
    assert len(source.here.requests) == 4
    # Both answers pass the checks, so the endpoint is not a bad one.
    assert source.judged == [None, None]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (32 + number, 32), (20 * number, 90, 200 - 10 * number)).save(folder / f"{number:02}.png")
    return folder


def go(folder: Path, output: Path | None, server: Simulator, **flags: Any) -> Summary:
    return generate(folder, output, base_url=server.base_url, model=MODEL, **flags)


@pytest.mark.parametrize("settings", [{}, {"guided": True}, {"shape": "hosted"}], ids=["vllm", "old vllm", "hosted"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_true_answers_are_verified_and_a_model_without_eyes_says_no(
    settings: dict[str, Any], language: str, pictures: Path
) -> None:
    with run_simulator(SimSettings(latency=0.0, **settings)) as server:
        summary = go(pictures, None, server, language=language, details=True, verify="all")
    tally = summary.tally
    assert (tally.succeeded, tally.failed_total, dict(tally.verdicts)) == (12, 0, {"yes/no": 12})
    assert tally.verification_requests == 24
    metas = [record["pers_qa_meta"] for record in summary.records]
    assert [meta["verification"]["verdict"] for meta in metas] == ["yes"] * 12
    assert sum(meta["verification"]["usage"]["prompt"] for meta in metas) == tally.verification_usage.prompt
    assert tally.verification_usage.prompt < tally.prompt_tokens


@pytest.mark.parametrize("strategy", ["direct", "constrain", "prefill", "surrogate"])
def test_answers_of_each_strategy_are_verified(strategy: str, pictures: Path) -> None:
    with run_simulator(SimSettings(latency=0.0)) as server:
        summary = go(pictures, None, server, strategy=strategy, verify="all", limit=4)
    assert (summary.tally.succeeded, dict(summary.tally.verdicts)) == (4, {"yes/no": 4})


def test_a_picture_that_the_server_has_is_not_sent_again(pictures: Path) -> None:
    sent = []
    for verify in ("off", "all"):
        with run_simulator(SimSettings(latency=0.0)) as server:
            summary = go(pictures, None, server, questions=3, uuid="on", verify=verify)
            sent.append(server.stats()["bytes_in"] / server.stats()["requests"])
            assert summary.tally.succeeded == 36
    assert dict(summary.tally.verdicts) == {"yes/no": 36}
    assert sent[1] < sent[0]


def test_a_verdict_is_retried_like_any_request(pictures: Path) -> None:
    script = ("ok", "500", "503", "ok", "500", "ok")
    with run_simulator(SimSettings(latency=0.0, script=script)) as server:
        summary = go(pictures, None, server, probes=False, verify="all", limit=1, details=True)
    (meta,) = (record["pers_qa_meta"] for record in summary.records)
    assert (meta["verification"]["verdict"], meta["verification"]["blind"], meta["doubts"]) == ("yes", "no", [])
    # 503 is a refusal because of load, which costs no attempt.
    assert (meta["verification"]["requests"], meta["attempts"]) == (4, 5)


def test_answers_that_are_not_true_fail(pictures: Path, tmp_path: Path) -> None:
    """The simulator gives fixed answers without looking, but looks when it is asked whether they are right."""
    questions = {question.text.replace("{tag}", "<mam>") for question in Bank.build("human").questions("human", "en")}
    lines = [orjson.dumps({"question": text, "answer": "<mam> wears a hat, a scarf and gloves."}) for text in questions]
    answers = tmp_path / "answers.jsonl"
    answers.write_bytes(b"\n".join(lines))
    with run_simulator(SimSettings(latency=0.0, answers=read_answers(answers))) as server:
        summary = go(pictures, tmp_path / "qa.jsonl", server, verify="all", limit=4)
        assert dict(summary.tally.failed) == {"not_verified": 4}
        assert dict(summary.tally.re_asked) == {"not_verified": 4}
        assert dict(summary.tally.verdicts) == {"no/no": 4}
        assert summary.tally.verification_requests == 16
    counts = orjson.loads((tmp_path / "qa.run.json").read_bytes())["counts"]
    assert counts["verification"]["verdicts"] == {"no/no": 4}
    with run_simulator(SimSettings(latency=0.0)) as server:
        summary = go(pictures, tmp_path / "qa.jsonl", server, verify="all", limit=4, retry_failed=True)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (4, {})
    assert dict(summary.tally.verdicts) == {"no/no": 4, "yes/no": 4}
    assert summary.tally.verification_requests == 24


def test_doubts_are_counted_and_the_summary_names_the_flag(pictures: Path) -> None:
    with run_simulator(SimSettings(latency=0.0, script=("refusal",))) as server:
        summary = go(pictures, None, server, probes=False, concurrency=1)
    assert (summary.tally.doubtful, dict(summary.tally.doubts)) == (1, {"re_asked": 1})
    advice = "a new run with --verify doubtful lets the model check them"
    assert ("doubtful", f"1 (re_asked 1); {advice}") in list_results(summary)


def test_the_summary_names_the_file_with_the_doubtful_answers(pictures: Path, tmp_path: Path) -> None:
    with run_simulator(SimSettings(latency=0.0, script=("refusal",))) as server:
        summary = go(pictures, tmp_path / "qa.jsonl", server, probes=False, concurrency=1)
    lines = dict(list_results(summary))
    assert lines["details"] == str(tmp_path / "qa.details.jsonl")
    assert lines["doubtful"].startswith(
        f"1 (re_asked 1); look at them in {tmp_path / 'qa.details.jsonl'}; a new run with "
    )


def test_the_summary_shows_what_verification_said_and_cost(pictures: Path) -> None:
    script = ("refusal", "ok", "wrong_verdict")
    with run_simulator(SimSettings(latency=0.0, script=script)) as server:
        summary = go(pictures, None, server, probes=False, concurrency=1, verify="doubtful", limit=1)
    tally = summary.tally
    assert (tally.succeeded, dict(tally.failed), dict(tally.verdicts)) == (0, {"not_verified": 1}, {"no/no": 1})
    lines = dict(list_results(summary))
    assert "doubtful" not in lines
    usage = tally.verification_usage
    assert lines["verification"] == f"2 requests, {usage.prompt} tokens in, 2 out (included below)"
    assert lines["  no"] == "1, 1 of them without the picture too"


def test_a_run_is_not_continued_with_another_choice(pictures: Path, tmp_path: Path) -> None:
    with run_simulator(SimSettings(latency=0.0)) as server:
        go(pictures, tmp_path / "off.jsonl", server, limit=2)
        go(pictures, tmp_path / "on.jsonl", server, limit=2, verify="all")
        with pytest.raises(SettingsError, match='the setting verify was not set in this run and is "all" now'):
            go(pictures, tmp_path / "off.jsonl", server, verify="all")
        with pytest.raises(SettingsError, match='the setting verify was "all" in this run and is not set now'):
            go(pictures, tmp_path / "on.jsonl", server)
        assert go(pictures, tmp_path / "on.jsonl", server, verify="all").tally.verification_requests == 24
    identity = orjson.loads((tmp_path / "off.run.json").read_bytes())["identity"]
    assert identity.keys().isdisjoint({"verify", "verify-digest"})


async def test_the_client_verifies_what_its_recipe_says(pictures: Path) -> None:
    with run_simulator(SimSettings(latency=0.0)) as server:
        endpoint = Endpoint(base_url=server.base_url, model=MODEL)
        async with PersQAClient(endpoint, recipe=Recipe(verify="all")) as client:
            record = await client.ask(pictures / "00.png")
    assert record.verification is not None
    assert (record.verification.verdict, record.verification.blind) == ("yes", "no")
