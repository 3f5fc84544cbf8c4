"""The pipeline with a fake endpoint: answers, re-asks, and failures with their codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.endpoints.profile import Reply
from persqa_client.errors import RowError
from persqa_client.outcomes import Failure, Outcome, Record, SentPicture
from persqa_client.questions.bank import Bank
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.pipeline import Completer, Pipeline
from persqa_client.types import BoxMark, Completion, LoadedImage, Request, Row, Strategy, TaskId, Usage
from tests.support.fakes import FakeCompleter, load_nothing

ROW = Row(7, b'{"image": ["a.jpg", "b.jpg"]}', ("a.jpg", "b.jpg"), question="What is <mam> doing?")
GOOD = "<mam> reads a book."


async def answer(completer: Completer, row: Row = ROW, strategy: Strategy = "direct", **more: Any) -> Outcome:
    asks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS, strategy=strategy, names=("Eileen",))
    return await Pipeline(completer, load_nothing, asks, **more).answer(row, TaskId(row.number))


async def test_an_accepted_answer_is_a_record() -> None:
    completer = FakeCompleter([GOOD])
    record = await answer(completer)
    assert isinstance(record, Record)
    assert (record.answer, record.question, record.asks, record.made_good_by) == (GOOD, ROW.question, 1, ())
    assert record.usage == Usage(100, 10)
    [request] = completer.requests
    assert [picture.data for picture in request.pictures] == [b"a.jpg", b"b.jpg"]
    assert request.seed == record.seed


async def test_the_record_has_the_finish_reason_as_it_was_sent() -> None:
    record = await answer(
        FakeCompleter([Completion(GOOD, "stop", Usage(1, 2), sent_finish_reason="FinishReason.STOP")])
    )
    assert isinstance(record, Record)
    assert record.finish_reason == "FinishReason.STOP"


async def test_a_rejected_answer_is_re_asked_with_the_reason() -> None:
    completer = FakeCompleter(["A man reads.", GOOD])
    record = await answer(completer)
    assert isinstance(record, Record)
    assert (record.asks, record.attempts, record.made_good_by) == (2, 2, ("re-ask",))
    assert record.usage == Usage(200, 20)
    first, second = completer.requests
    assert (first.turns, second.pictures) == ((), first.pictures)
    assert second.turns[0].text == "A man reads."
    assert "does not begin with <mam>" in second.turns[1].text
    assert second.seed != first.seed


async def test_every_raw_answer_is_kept_with_its_problem() -> None:
    """In records, in failures, and if the endpoint fails after a rejected answer."""
    cut = Completion("<mam> and so", "length", Usage(1, 2), model="m", refusal=None)
    refused = Completion("", "stop", refusal="I can't help.")
    for completer, expected in (
        (FakeCompleter(["A man reads.", f'"{GOOD}"']), [("A man reads.", "no_tag"), (f'"{GOOD}"', None)]),
        (FakeCompleter(["A man.", cut]), [("A man.", "no_tag"), ("<mam> and so", "truncated")]),
        (FakeCompleter([refused, RowError("timeout", "slow")]), [("", "refusal")]),
        (FakeCompleter([RowError("timeout", "slow")]), []),
    ):
        outcome = await answer(completer)
        assert [(raw.text, raw.problem) for raw in outcome.raws] == expected
        assert [raw.seed for raw in outcome.raws] == [request.seed for request in completer.requests][: len(expected)]
        if isinstance(outcome, Failure):
            assert outcome.task is not None
            assert (outcome.task.question, outcome.task.tag, outcome.task.strategy) == (ROW.question, "<mam>", "direct")
    kept = (await answer(FakeCompleter([f'"{GOOD}"']), strategy="surrogate")).raws[0]
    assert (kept.steps, kept.finish_reason, kept.max_tokens) == (("quotes",), "stop", 512)
    kept = (await answer(FakeCompleter([cut, refused]))).raws[0]
    assert (kept.finish_reason, kept.prompt_tokens, kept.completion_tokens, kept.model) == ("length", 1, 2, "m")
    second = (await answer(FakeCompleter([cut, refused]))).raws[1]
    assert (second.refusal, second.max_tokens) == ("I can't help.", 1024)


async def test_two_rejected_answers_are_a_failure_with_the_last_text() -> None:
    failure = await answer(FakeCompleter(["A man.", Completion("<mam> and so", "length", Usage(1, 2))]))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.stage, failure.raw, failure.asks) == ("truncated", "answer", "<mam> and so", 2)
    assert failure.usage == Usage(101, 12)
    assert failure.message.startswith("Line 7: ")


class TwoEndpoints:
    """The source of the replies of one endpoint, next to another one."""

    def __init__(self, here: list[str], there: list[str], *, is_ready: bool = True) -> None:
        self.here, self.there = FakeCompleter(here), FakeCompleter(there)
        self.is_ready = is_ready
        self.judged: list[str | None] = []

    def judge(self, problem: str | None) -> None:
        self.judged.append(problem)

    async def complete(self, request: Request) -> Reply:
        return replace(await self.here.complete(request), source=self)

    async def ask_again(self, request: Request) -> Reply:
        return await self.complete(request)

    async def ask_another(self, request: Request) -> Reply:
        return await self.there.complete(request)


async def test_a_row_with_two_rejected_answers_is_asked_at_another_endpoint() -> None:
    endpoints = TwoEndpoints(["A man.", "<mam>"], [GOOD])
    record = await answer(endpoints)
    assert isinstance(record, Record)
    assert (record.asks, record.refused, record.usage) == (3, "no_tag", Usage(300, 30))
    assert endpoints.judged == ["no_tag", "only_tag"]
    first, again = endpoints.here.requests
    [elsewhere] = endpoints.there.requests
    assert (elsewhere.prompt, elsewhere.turns) == (first.prompt, ())
    assert len({first.seed, again.seed, elsewhere.seed}) == 3


async def test_a_row_that_is_rejected_at_two_endpoints_fails() -> None:
    failure = await answer(TwoEndpoints(["A man.", "A man."], ["<mam>"]))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.asks) == ("only_tag", 3)
    assert "All 3 answers were rejected" in failure.message


async def test_a_row_is_not_asked_elsewhere_if_no_other_endpoint_is_healthy() -> None:
    endpoints = TwoEndpoints(["A man.", "A man."], [GOOD], is_ready=False)
    assert isinstance(await answer(endpoints), Failure)
    assert endpoints.there.requests == []


async def test_a_good_answer_is_judged_too() -> None:
    endpoints = TwoEndpoints(["A man.", GOOD], [])
    assert isinstance(await answer(endpoints), Record)
    assert endpoints.judged == ["no_tag", None]


async def test_a_rejected_request_is_a_failure_with_its_code() -> None:
    failure = await answer(FakeCompleter([RowError("too_large", "Too large.", raw="413", attempts=1)]))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.stage, failure.raw, failure.attempts) == ("too_large", "endpoint", "413", 1)


async def test_a_rejected_re_ask_keeps_the_cost_of_the_first_answer() -> None:
    failure = await answer(FakeCompleter(["A man.", RowError("http_500", "It failed.", attempts=5)]))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.raw, failure.attempts, failure.usage) == ("http_500", "A man.", 6, Usage(100, 10))


async def test_an_unreadable_image_fails_before_anything_is_sent() -> None:
    async def missing(reference: str, mark: BoxMark | None = None) -> LoadedImage:
        raise RowError("image_missing", f"{reference} is not there")

    completer = FakeCompleter([])
    asks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS)
    failure = await Pipeline(completer, missing, asks).answer(ROW, TaskId(7))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.stage, failure.attempts) == ("image_missing", "input", 0)
    assert completer.requests == []


async def test_a_record_lists_constraint_cleaning_and_repair() -> None:
    record = await answer(FakeCompleter(["Answer: Mam reads."], constrained=True))
    assert isinstance(record, Record)
    assert record.made_good_by == ("constraint", "label", "tag_bare")
    assert (record.answer, record.raw) == ("<mam> reads.", "Answer: Mam reads.")


CUT = Completion("<mam> wears a blue", "length", Usage(100, 64), "fake")


async def test_a_truncated_answer_is_re_asked_with_twice_the_tokens() -> None:
    completer = FakeCompleter([CUT, GOOD])
    record = await answer(completer, max_tokens=64)
    assert isinstance(record, Record)
    assert (record.answer, record.refused, record.made_good_by) == (GOOD, "truncated", ("re-ask",))
    first, second = completer.requests
    assert (first.max_tokens, second.max_tokens, second.turns) == (None, 128, ())


async def test_the_re_ask_stays_within_the_context() -> None:
    completer = FakeCompleter([CUT, GOOD])
    assert isinstance(await answer(completer, max_tokens=64, context=200), Record)
    assert completer.requests[1].max_tokens == 100
    failure = await answer(FakeCompleter([CUT]), max_tokens=64, context=160)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.asks, failure.raw) == ("truncated", 1, CUT.text)
    assert failure.message.startswith("Line 7: ")


async def test_a_surrogate_is_in_the_request_and_the_tag_in_the_record() -> None:
    completer = FakeCompleter(["A man reads.", "Charlie reads Charlie's book."])
    record = await answer(completer, strategy="surrogate")
    assert isinstance(record, Record)
    assert (record.answer, record.raw) == ("<mam> reads <mam>'s book.", "Charlie reads Charlie's book.")
    assert (record.question, record.strategy) == (ROW.question, "surrogate")
    assert record.made_good_by == ("surrogate", "re-ask")
    said = " ".join(r.prompt + "".join(turn.text for turn in r.turns) for r in completer.requests)
    assert "mam" not in said
    assert "it does not begin with Charlie" in said


async def test_a_prefill_is_sent_with_both_requests() -> None:
    completer = FakeCompleter(["<mam>", GOOD], prefilled=True)
    record = await answer(completer, strategy="prefill")
    assert isinstance(record, Record)
    assert [request.prefill for request in completer.requests] == ["<mam>", "<mam>"]
    assert record.made_good_by == ("prefill", "re-ask")


async def test_a_real_name_is_rejected_and_not_shown() -> None:
    failure = await answer(FakeCompleter(["<mam> is Eileen."] * 2))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.refused) == ("name_leak", "name_leak")
    assert "Eileen" not in failure.message


async def test_a_row_that_has_no_question_is_never_sent() -> None:
    completer = FakeCompleter([])
    asks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS)
    row = Row(7, b"{}", ("a.jpg",))
    failure = await Pipeline(completer, load_nothing, asks).answer(row, TaskId(7, 5000))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.stage) == ("no_question", "input")


async def test_a_record_describes_the_images_as_sent() -> None:
    record = await answer(FakeCompleter([GOOD]), model_family="qwen2.5-vl")
    assert isinstance(record, Record)
    assert record.pictures == (SentPicture("image/jpeg", 1, 1, 5, 4), SentPicture("image/jpeg", 1, 1, 5, 4))
