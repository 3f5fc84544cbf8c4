"""A session adapts to the request fields that a server refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
import respx

from persqa_client.client.dialect import Dialect
from persqa_client.config import Sampling
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.errors import RowError, RunStopped
from persqa_client.types import Request
from tests.support.endpoints import (
    CHAT_URL,
    REQUEST,
    UNLUCKY,
    error_response,
    fail_unlucky,
    make_session,
    ok_response,
    outcome_of,
    queue_responses,
    sent_body,
)


def refuse_fields(refuses: Callable[[dict[str, object]], str | None]) -> Callable[[httpx.Request], httpx.Response]:
    """A server that refuses a field, with the message of OpenAI, as long as ``refuses`` returns one."""

    def answer(request: httpx.Request) -> httpx.Response:
        name = refuses(json.loads(request.content))
        if name is None:
            return ok_response()
        return error_response(400, f"Unsupported parameter: '{name}'.", param=name, code="unsupported_parameter")

    return answer


async def test_max_tokens_is_renamed_once_in_a_run(session: Session, respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(CHAT_URL).mock(
        side_effect=refuse_fields(lambda body: "max_tokens" if "max_tokens" in body else None)
    )
    assert (await session.complete(REQUEST)).attempts == 1
    await session.complete(REQUEST)
    assert route.call_count == 3
    assert sent_body(route)["max_completion_tokens"] == 512
    assert session.profile.dialect.describe_changes() == ["max_tokens is sent as max_completion_tokens"]


@pytest.mark.parametrize("field", ["temperature", "top_p", "seed", "top_k", "structured_outputs"])
async def test_a_refused_field_is_dropped_once_in_a_run(respx_mock: respx.MockRouter, field: str) -> None:
    route = respx_mock.post(CHAT_URL).mock(side_effect=refuse_fields(lambda body: field if field in body else None))
    async with make_session(sampling=Sampling(extra_body={"top_k": 5})) as session:
        session.profile.dialect = Dialect(constraint="structured_outputs")
        request = Request("s", (), "q", seed=1, pattern="<mam>.+")
        reply = await session.complete(request)
        await session.complete(request)
    assert route.call_count == 3
    assert field in sent_body(route, 0)
    assert field not in sent_body(route)
    assert len(sent_body(route)) == len(sent_body(route, 0)) - 1
    assert reply.constrained is (field != "structured_outputs")
    assert session.profile.dialect.describe_changes() == [f"{field} is left out: the server refuses it"]


async def test_a_field_refused_by_fastapi_is_dropped(session: Session, respx_mock: respx.MockRouter) -> None:
    detail = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
    route = queue_responses(respx_mock, httpx.Response(422, json={"detail": detail}), ok_response())
    await session.complete(REQUEST)
    assert "seed" not in sent_body(route)


async def test_several_refused_fields_are_dropped(session: Session, respx_mock: respx.MockRouter) -> None:
    fields = ("max_tokens", "max_completion_tokens", "temperature", "seed", "top_p")
    route = respx_mock.post(CHAT_URL).mock(
        side_effect=refuse_fields(lambda body: next((name for name in fields if name in body), None))
    )
    reply = await session.complete(REQUEST)
    assert (reply.attempts, route.call_count) == (1, 6)
    assert set(sent_body(route)) == {"model", "messages"}


async def test_concurrent_requests_change_the_dialect_once(respx_mock: respx.MockRouter) -> None:
    """The later refusals concern the old name and must not be taken for a refusal of the new one."""
    refused = asyncio.Barrier(5)

    async def answer(request: httpx.Request) -> httpx.Response:
        if b'"max_tokens"' in request.content:
            await refused.wait()
            return error_response(
                400, "Unsupported parameter: 'max_tokens'.", param="max_tokens", code="unsupported_parameter"
            )
        return ok_response()

    route = respx_mock.post(CHAT_URL).mock(side_effect=answer)
    async with make_session() as session:
        replies = await asyncio.gather(*(session.complete(REQUEST) for _ in range(5)))
    assert [reply.attempts for reply in replies] == [1] * 5
    assert route.call_count == 10
    assert sent_body(route)["max_completion_tokens"] == 512


REFUSED_SEED = error_response(400, "Unsupported parameter: 'seed'.", param="seed", code="unsupported_parameter")


async def test_a_field_refused_after_it_was_dropped_fails_a_row_if_others_are_answered(
    session: Session, respx_mock: respx.MockRouter
) -> None:
    route = fail_unlucky(respx_mock, REFUSED_SEED)
    error = await outcome_of(session, UNLUCKY)
    assert isinstance(error, RowError)
    assert (error.code, error.attempts) == ("rejected", 1)
    assert "Unsupported parameter: 'seed'" in error.message
    assert "seed" not in sent_body(route)


async def test_a_field_refused_after_it_was_dropped_costs_no_row_if_the_endpoint_refuses_all(
    session: Session, respx_mock: respx.MockRouter
) -> None:
    respx_mock.get(path="/health").respond(200)
    respx_mock.post(CHAT_URL).mock(return_value=REFUSED_SEED)
    outcomes = await asyncio.gather(*(outcome_of(session) for _ in range(5)))
    assert [type(outcome) for outcome in outcomes] == [RunStopped] * 5
    assert "Unsupported parameter: 'seed'" in str(outcomes[0])


async def test_a_field_refused_for_a_while_costs_no_row(session: Session, respx_mock: respx.MockRouter) -> None:
    """A gateway may add the field for its own reasons, or route to another server for a minute."""
    respx_mock.get(path="/health").respond(200)
    route = respx_mock.post(CHAT_URL).mock(side_effect=[*[REFUSED_SEED] * 13, *[ok_response()] * 20])
    outcomes = await asyncio.gather(*(outcome_of(session) for _ in range(8)))
    assert [type(outcome) for outcome in outcomes] == [Reply] * 8
    assert "seed" not in sent_body(route)


async def test_a_trial_leaves_out_a_refused_field(session: Session, respx_mock: respx.MockRouter) -> None:
    """The endpoint returns from an outage with another version of its server."""
    respx_mock.get(path="/health").respond(200)
    failures = [error_response(500) for _ in range(5)]

    def answer(request: httpx.Request) -> httpx.Response:
        if failures:
            return failures.pop()
        return REFUSED_SEED if b'"seed"' in request.content else ok_response()

    respx_mock.post(CHAT_URL).mock(side_effect=answer)
    outcomes = await asyncio.gather(*(outcome_of(session) for _ in range(5)))
    assert [type(outcome) for outcome in outcomes] == [Reply] * 5
    assert session.profile.dialect.describe_changes() == ["seed is left out: the server refuses it"]


TAGGED = Request("s", (), "q", seed=1, pattern="<mam>.+")
BEGUN = Request("s", (), "q", seed=1, prefill="<mam>")


async def test_an_answer_constrained_by_a_schema_is_unwrapped(session: Session, respx_mock: respx.MockRouter) -> None:
    route = queue_responses(respx_mock, ok_response('{ "answer":\n"<mam> sits."}'), ok_response('{"answer": "a"}'))
    session.profile.dialect = Dialect(constraint="json_schema")
    reply = await session.complete(TAGGED)
    assert (reply.completion.text, reply.constrained, reply.prefilled) == ("<mam> sits.", True, False)
    assert sent_body(route)["response_format"]["type"] == "json_schema"
    assert (await session.complete(REQUEST)).completion.text == '{"answer": "a"}', (
        "without a pattern nothing is unwrapped"
    )


@pytest.mark.parametrize("form", ["continue_final_message", "partial"])
async def test_a_prefilled_answer_includes_its_prefill(
    session: Session, respx_mock: respx.MockRouter, form: str
) -> None:
    queue_responses(respx_mock, ok_response("wears a hat."), ok_response("<mam> wears a hat."))
    session.profile.dialect = Dialect(prefill=form)
    for _ in range(2):
        reply = await session.complete(BEGUN)
        assert (reply.completion.text, reply.prefilled) == ("<mam> wears a hat.", True)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ("continue_final_message", "continue_final_message"),
        ("continue_final_message", "add_generation_prompt"),
        ("partial", "partial"),
    ],
)
async def test_a_refused_prefill_is_left_out(
    session: Session, respx_mock: respx.MockRouter, form: str, field: str
) -> None:
    route = respx_mock.post(CHAT_URL).mock(
        side_effect=refuse_fields(lambda body: field if field in str(body) else None)
    )
    session.profile.dialect = Dialect(prefill=form)
    reply = await session.complete(BEGUN)
    assert (reply.prefilled, reply.attempts, route.call_count) == (False, 1, 2)
    assert [message["role"] for message in sent_body(route)["messages"]] == ["system", "user"]
    assert session.profile.dialect.describe_changes() == [f"{field} is left out: the server refuses it"]
