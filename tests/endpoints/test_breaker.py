"""The breaker: failures that the endpoint gives to row after row cost no row anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web

from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.breaker import MAX_STREAK, failure_kind, find_unusable, plain_request
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import PersQAError, RowError, RunStopped
from persqa_client.types import Completion, ErrorDecision, Request, RetryAction, Usage
from tests.support.cases import each_case
from tests.support.endpoints import FAST_BACKOFF, TEST_TIMEOUT, completion_json, serve_handler


def decision(raw: str, code: str = "rejected") -> ErrorDecision:
    return ErrorDecision(RetryAction.FAIL, code, "m", raw=raw)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Row of 512 tokens is too large", "Row of 9000 tokens is too large"),
        ("Denied (request id: 20241107123456789012345abcdef)", "Denied (request id: 20251107a3456789012345fedcba)"),
        ("See https://a.example/x?y=1 for help", "See https://a.example/z for help"),
        ("req 3fa85f64-5717-4562-b3fc-2c963f66afa6 failed", "req 12345678-aaaa-4562-b3fc-2c963f66afa7 failed"),
        ("trace XyZabcdefghijklmnopqrstuv", "trace QwErtyabcdefghijklmnopqrs"),
    ],
)
def test_failures_that_differ_in_ids_numbers_and_urls_are_alike(one: str, other: str) -> None:
    assert failure_kind(decision(one)) == failure_kind(decision(other))


def test_failures_of_other_codes_or_words_are_not_alike() -> None:
    kinds = {failure_kind(decision(*words)) for words in [("A", "x"), ("A", "y"), ("B", "x")]}
    assert len(kinds) == 3


@each_case(
    ("completion", "code"),
    [
        (Completion("<mam> waves.", "stop"), None),
        (Completion("<mam> wav", "length"), "truncated"),
        (Completion("", "length"), "truncated"),
        (Completion(" \n", "stop"), "empty"),
        (Completion("", "content_filter"), "content_filter"),
        (Completion("", "stop", refusal="I can't help."), None),
    ],
)
def test_unusable_completions(completion: Completion, code: str | None) -> None:
    found = find_unusable(completion)
    assert (found.code if found else None) == code


class Server:
    """Answers by ``respond``, which gets a row's number or None for a trial that names no row."""

    def __init__(self, respond: Callable[[int | None], web.Response], latency: float = 0.002) -> None:
        self.respond = respond
        self.latency = latency
        self.seen: list[int | None] = []
        self.in_flight: list[int | None] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response()
        prompt = (await request.json())["messages"][-1]["content"]
        text = prompt if isinstance(prompt, str) else prompt[-1]["text"]
        row = int(text.removeprefix("row ")) if text.startswith("row ") else None
        self.seen.append(row)
        self.in_flight.append(row)
        try:
            await asyncio.sleep(self.latency)
            return self.respond(row)
        finally:
            self.in_flight.remove(row)


def good() -> web.Response:
    return web.json_response(completion_json())


def refused(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def unusable(text: str, finish_reason: str) -> web.Response:
    body = completion_json(text)
    body["choices"][0]["finish_reason"] = finish_reason
    return web.json_response(body)


Ends = list[Reply | PersQAError]


async def complete_rows(server: Server, rows: Iterator[int] | range, *, concurrency: int = 8, **limits: object) -> Ends:
    """The ends of these rows, with as many workers as permits and some more."""
    left, ends = iter(rows), Ends()
    async with serve_handler(server.handle) as url:
        session = Session(
            Endpoint(base_url=f"{url}/v1", model="m"),
            limits=Limits.model_validate({"concurrency": concurrency, "max_attempts": 3, **limits}),
            backoff=FAST_BACKOFF,
            probe_backoff=FAST_BACKOFF,
        )

        async def work() -> None:
            for row in left:
                try:
                    ends.append(await session.complete(Request("s", (), f"row {row}", seed=row)))
                except RunStopped as stop:
                    ends.append(stop)
                    return
                except RowError as error:
                    ends.append(error)

        async with session, asyncio.timeout(TEST_TIMEOUT):
            await asyncio.gather(*(work() for _ in range(concurrency + 4)))
    return ends


def count(ends: Ends, kind: type[object]) -> int:
    return sum(isinstance(end, kind) for end in ends)


REFUSALS = [
    pytest.param(lambda: refused(403, "Key limit exceeded (total limit). Request id 8f3a1c2e."), id="403 with words"),
    pytest.param(lambda: refused(400, "Your credit balance is too low."), id="400"),
    pytest.param(lambda: refused(401, "Expired."), id="401"),
    pytest.param(lambda: unusable("", "length"), id="thoughts take all tokens"),
    pytest.param(lambda: unusable("", "stop"), id="no text"),
    pytest.param(lambda: unusable("", "content_filter"), id="content filter"),
]


@pytest.mark.parametrize("bad", REFUSALS)
async def test_an_endpoint_that_refuses_from_some_row_on_stops_the_run(bad: Callable[[], web.Response]) -> None:
    server = Server(lambda row: good() if len(server.seen) <= 30 else bad())
    ends = await complete_rows(server, range(200))
    assert count(ends, RowError) == 0
    assert count(ends, RunStopped) > 0
    assert len(server.seen) <= 30 + MAX_STREAK + 2 * 12
    stop = next(end for end in ends if isinstance(end, RunStopped))
    assert "including a request that it had answered before" in stop.message


@pytest.mark.parametrize("bad", REFUSALS[1:])
async def test_an_endpoint_that_refuses_from_the_first_row_on_stops_the_run(bad: Callable[[], web.Response]) -> None:
    """Also a small input, which has fewer rows than a streak."""
    server = Server(lambda row: bad())
    ends = await complete_rows(server, range(5))
    assert (count(ends, RowError), count(ends, Reply)) == (0, 0)


async def test_neighbours_that_the_endpoint_refuses_fail_alone() -> None:
    bad = range(50, 50 + 3 * MAX_STREAK)
    server = Server(lambda row: refused(400, f"Row {row} is not allowed.") if row in bad else good())
    ends = await complete_rows(server, range(200))
    assert (count(ends, RowError), count(ends, Reply)) == (len(bad), 200 - len(bad))
    assert len(server.seen) <= 200 + len(bad) + 2 * len(bad) / MAX_STREAK + 4, "each is sent at most twice"


async def test_a_bad_row_among_good_ones_is_sent_once() -> None:
    server = Server(lambda row: refused(400, "Too long.") if row == 20 else good())
    ends = await complete_rows(server, range(60))
    assert (count(ends, RowError), count(ends, Reply), len(server.seen)) == (1, 59, 60)


@pytest.mark.parametrize("status", [401, 402, 404])
async def test_a_row_that_is_refused_as_by_the_account_fails_alone(status: int) -> None:
    """OpenRouter answers 402 to a request that costs more than the credits that are left."""
    bad = {10, 30, 31, 32}
    server = Server(lambda row: refused(status, "This request requires more credits.") if row in bad else good())
    ends = await complete_rows(server, range(60), max_attempts=3)
    failed = [end for end in ends if isinstance(end, RowError)]
    assert ([end.code for end in failed], count(ends, Reply)) == (["rejected"] * 4, 56)
    assert "This request requires more credits" in failed[0].message
    assert sorted(row for row in server.seen if row in bad) == sorted([*bad] * 3)


async def test_a_gateway_with_one_wrong_key_of_several_fails_no_row() -> None:
    server = Server(lambda row: refused(401, "Incorrect API key.") if len(server.seen) % 10 == 3 else good())
    ends = await complete_rows(server, range(60), max_attempts=5)
    assert (count(ends, RowError), count(ends, Reply)) == (0, 60)


async def test_three_long_waits_in_a_row_need_no_trial() -> None:
    """A trial would repeat a row that was answered."""
    asked_to_wait = {10, 11, 12}

    def answer(row: int | None) -> web.Response:
        is_first = row in asked_to_wait and server.seen.count(row) == 1
        return web.json_response({}, status=429, headers={"Retry-After": "86400"}) if is_first else good()

    server = Server(answer)
    ends = await complete_rows(server, range(100))
    assert count(ends, Reply) == 100
    assert {row for row in server.seen if server.seen.count(row) > 1} == asked_to_wait


@pytest.mark.parametrize("status", [500, 502, 520])
async def test_server_errors_for_a_while_fail_no_row(status: int) -> None:
    server = Server(lambda row: good() if not 30 < len(server.seen) <= 90 else refused(status, "No."))
    ends = await complete_rows(server, range(150), max_attempts=1)
    assert (count(ends, RowError), count(ends, Reply)) == (0, 150)


async def test_errors_that_last_stop_the_run_after_max_outage() -> None:
    server = Server(lambda row: good() if len(server.seen) <= 30 else refused(500, "Internal."))
    ends = await complete_rows(server, range(150), max_outage=0.1)
    assert count(ends, RowError) == 0
    assert {end.code for end in ends if isinstance(end, RunStopped)} == {"server_away"}


async def test_a_row_that_brings_the_server_down_fails_alone() -> None:
    """Every request in flight fails with it, and the server needs a while to recover. At last it is sent alone."""
    at_crashes: list[list[int | None]] = []
    down_until = 0.0

    def respond(row: int | None) -> web.Response:
        nonlocal down_until
        now = asyncio.get_running_loop().time()
        if row == 40 and now >= down_until:
            down_until = now + 0.05
            at_crashes.append(list(server.in_flight))
        return refused(500, "model runner has unexpectedly stopped") if now < down_until else good()

    server = Server(respond, latency=0.02)  # others are in flight at the crash, however slow the machine is
    ends = await complete_rows(server, range(100))
    failed = [end.message for end in ends if isinstance(end, RowError)]
    assert (len(failed), count(ends, Reply)) == (1, 99), failed
    assert at_crashes[-1] == [40]
    assert len(at_crashes[0]) > 1


async def test_truncated_answers_among_good_ones_are_returned() -> None:
    server = Server(lambda row: unusable("<mam> wea", "length") if row is not None and row % 10 == 0 else good())
    ends = await complete_rows(server, range(60))
    assert count(ends, Reply) == 60
    assert sum(end.completion.finish_reason == "length" for end in ends if isinstance(end, Reply)) == 6


async def test_the_usage_of_trials_counts() -> None:
    server = Server(lambda row: refused(400, "Too long.") if row == 0 else good())
    async with (
        serve_handler(server.handle) as url,
        Session(Endpoint(base_url=f"{url}/v1", model="m"), probe_backoff=FAST_BACKOFF) as session,
    ):
        with pytest.raises(RowError):
            await session.complete(Request("s", (), "row 0", seed=1))
        assert (server.seen, session.traffic.sent, session.traffic.usage) == ([0, None], 2, Usage(5, 3))


async def test_a_failure_that_arrives_during_a_trial_is_not_decided_by_its_answer() -> None:
    """The endpoint becomes bad while it answers the trial of another failure."""
    trial_began, may_answer = asyncio.Event(), asyncio.Event()

    class SlowTrial(Server):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            if request.method == "POST" and self.seen[-1:] == [2] and not trial_began.is_set():
                trial_began.set()
                await may_answer.wait()
                return good()
            return await super().handle(request)

    def respond(row: int | None) -> web.Response:
        return refused(400, "Not this row.") if row == 2 or trial_began.is_set() else good()

    server = SlowTrial(respond)
    async with (
        serve_handler(server.handle) as url,
        Session(Endpoint(base_url=f"{url}/v1", model="m"), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF) as session,
        asyncio.timeout(TEST_TIMEOUT),
    ):
        await session.complete(Request("s", (), "row 1", seed=1))
        bad = asyncio.create_task(session.complete(Request("s", (), "row 2", seed=2)))
        await trial_began.wait()
        late = ErrorDecision(RetryAction.FAIL, "rejected", "Denied.", status=400, raw="Denied.")
        verdict = asyncio.create_task(session.breaker.wait_for_cause(late, None, retried=False))
        await asyncio.sleep(0)
        may_answer.set()
        with pytest.raises(RowError):
            await bad
        with pytest.raises(RunStopped):
            await verdict


@pytest.mark.parametrize(("is_verification", "trial"), [(True, None), (False, 1)])
async def test_a_verdict_on_an_answer_does_not_show_that_rows_are_answered(
    is_verification: bool, trial: int | None
) -> None:
    """A trial repeats the latest request that was answered, else it asks about a built-in picture."""
    server = Server(lambda row: refused(400, "The picture is broken.") if row == 2 else good())
    async with serve_handler(server.handle) as url:
        session = Session(Endpoint(base_url=f"{url}/v1", model="m"), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF)
        async with session, asyncio.timeout(TEST_TIMEOUT):
            await session.complete(Request("s", (), "row 1", seed=1, is_verification=is_verification))
            with pytest.raises(RowError):
                await session.complete(Request("s", (), "row 2", seed=2))
    assert server.seen[:3] == [1, 2, trial]


async def test_a_verdict_that_is_cut_off_is_a_reply() -> None:
    """Without a trial of the endpoint, and without more room for the answers of the run."""
    server = Server(lambda row: unusable("" if row == 1 else "Yes, because", "length"))
    async with serve_handler(server.handle) as url:
        session = Session(Endpoint(base_url=f"{url}/v1", model="m"), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF)
        async with session, asyncio.timeout(TEST_TIMEOUT):
            for number in (1, 2):
                request = Request("s", (), f"row {number}", seed=1, max_tokens=64, is_verification=True)
                assert (await session.complete(request)).attempts == 1
            assert session.profile.initial_max_tokens is None
    assert server.seen == [1, 2]


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_failed_verdicts_are_not_held_and_cause_no_trial(status: int) -> None:
    """Rows that all wait for their verdicts answer nothing that would decide the failures."""
    server = Server(lambda row: refused(status, "Not this.") if row else good())
    limits = Limits(concurrency=8, max_attempts=2)
    async with serve_handler(server.handle) as url:
        endpoint = Endpoint(base_url=f"{url}/v1", model="m")
        session = Session(endpoint, limits=limits, backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF)
        async with session, asyncio.timeout(TEST_TIMEOUT):
            await session.complete(Request("s", (), "row 0", seed=1))
            verdicts = (Request("s", (), f"row {number}", seed=1, is_verification=True) for number in range(1, 30))
            ends = await asyncio.gather(*map(session.complete, verdicts), return_exceptions=True)
    assert [end.attempts for end in ends if isinstance(end, RowError)] == [1 if status == 400 else 2] * 29
    assert sorted(row or 0 for row in server.seen) == [0, *sorted([*range(1, 30)] * (1 if status == 400 else 2))]


@pytest.mark.parametrize("has_picture", [True, False])
async def test_a_good_verdict_about_the_pictures_is_an_answer_of_the_endpoint(has_picture: bool) -> None:
    server = Server(lambda row: good())
    pictures = plain_request().pictures if has_picture else ()
    async with (
        serve_handler(server.handle) as url,
        Session(Endpoint(base_url=f"{url}/v1", model="m")) as session,
        asyncio.timeout(TEST_TIMEOUT),
    ):
        late = ErrorDecision(RetryAction.FAIL, "rejected", "Denied.", status=400, raw="Denied.")
        is_own = asyncio.create_task(session.breaker.wait_for_cause(late, None, retried=False))
        await asyncio.sleep(0)
        await session.complete(Request("s", pictures, "row 1", seed=1, is_verification=True))
        await asyncio.sleep(0)
        assert is_own.done() is has_picture
        is_own.cancel()
    assert server.seen == [1]
