"""The ways to bring a tag to an answer's beginning, each with requests to a real vLLM."""

from __future__ import annotations

import asyncio
import os
import re

import pytest

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.client.dialect import Dialect
from persqa_client.config import Endpoint as Address
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.endpoints.profile import Reply
from persqa_client.endpoints.session import Session
from persqa_client.probing.vision import make_colour_image
from persqa_client.questions.bank import Bank
from persqa_client.questions.constraints import choose_form, sentence_pattern
from persqa_client.questions.prompts import build_verification_prompt
from persqa_client.questions.tasks import TaskMaker
from persqa_client.types import Request, Row, TaskId, Turn
from tests.live.endpoints import LiveEndpoint

PATTERN = r"<mam>[\s\S]{5,60}"
"""With an end: a model of random weights would hardly find the quotation mark that ends a string."""
ANSWERS = 20
PICTURE = make_colour_image("blue", 112)


@pytest.fixture(autouse=True)
def vllm_alone(endpoint: LiveEndpoint) -> None:
    if endpoint.owner != "vllm":
        pytest.skip(f"{endpoint.base_url} is no vLLM")


async def ask(
    endpoint: LiveEndpoint,
    dialect: Dialect,
    *,
    prompt: str = "What is <mam> like?",
    max_tokens: int = 128,
    pattern: str | None = None,
    prefill: str | None = None,
    turns: tuple[Turn, ...] = (),
) -> list[Reply]:
    """The replies to a request with different seeds."""
    key = find_api_key(endpoint.base_url, endpoint.key_env, os.environ)
    async with Session(Address(base_url=endpoint.base_url, model=endpoint.model, api_key=key)) as session:
        session.profile.dialect = dialect
        requests = (
            Request("You look closely.", (PICTURE,), prompt, seed, pattern, prefill, turns, max_tokens)
            for seed in range(ANSWERS)
        )
        replies = await asyncio.gather(*map(session.complete, requests))
        assert session.profile.dialect == dialect, "nothing was refused"
    return replies


@pytest.mark.parametrize("form", ["structured_outputs", "json_schema"])
async def test_every_answer_is_held_to_the_pattern_and_comes_out_bare(endpoint: LiveEndpoint, form: str) -> None:
    replies = await ask(endpoint, Dialect(constraint=form), pattern=PATTERN)

    assert all(reply.constrained for reply in replies)
    texts = [reply.completion.text for reply in replies]
    assert [text for text in texts if not re.fullmatch(PATTERN, text)] == []
    assert len(set(texts)) > ANSWERS // 2


@pytest.mark.parametrize(("question", "pattern"), [("What is <mam> doing?", "yes|no"), ("<mam>在做什么？", "是|否")])
async def test_every_verdict_is_yes_or_no(endpoint: LiveEndpoint, question: str, pattern: str) -> None:
    tasks = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS)
    task = tasks.make_task(Row(1, b"{}", ("1.jpg",), question=question), TaskId(1))
    prompt, built = build_verification_prompt(task, "<mam>在看书。" if pattern == "是|否" else "<mam> reads.")
    replies = await ask(endpoint, Dialect(constraint="structured_outputs"), prompt=prompt, pattern=built)

    assert built == pattern
    assert {reply.completion.text for reply in replies} <= set(pattern.split("|"))
    assert max(reply.completion.usage.completion for reply in replies) <= 8


@pytest.mark.parametrize("question", ["What is <mam> wearing?", "<mam>穿着什么？"])
async def test_every_answer_is_a_sentence_in_the_form_of_the_question(endpoint: LiveEndpoint, question: str) -> None:
    pattern = sentence_pattern("<mam>", choose_form(question))
    replies = await ask(
        endpoint, Dialect(constraint="structured_outputs"), prompt=question, max_tokens=2048, pattern=pattern
    )

    texts = [reply.completion.text for reply in replies]
    assert [text for text in texts if not re.fullmatch(pattern, text)] == []
    assert len(set(texts)) > ANSWERS // 2


OTHER_SCRIPTS = ("<mam>は何を着ていますか？", "<mam>은 무엇을 입고 있나요?", "Что делает <mam>?", "ماذا ترتدي <mam>؟")


@pytest.mark.parametrize("question", OTHER_SCRIPTS)
@pytest.mark.parametrize("form", ["structured_outputs", "json_schema"])
async def test_answers_begin_in_the_form_of_each_script(endpoint: LiveEndpoint, form: str, question: str) -> None:
    """Whether they end or not: the model has no full stops of these scripts, and seldom ends a string."""
    pattern = sentence_pattern("<mam>", choose_form(question))
    start = pattern.partition(r"[\s\S]*")[0]
    replies = await ask(endpoint, Dialect(constraint=form), prompt=question, max_tokens=64, pattern=pattern)

    assert [text for text in (reply.completion.text for reply in replies) if not re.search(start, text)] == []


async def test_an_answer_goes_on_from_its_beginning_also_when_asked_again(endpoint: LiveEndpoint) -> None:
    turns = (Turn("assistant", "A hat."), Turn("user", "Begin with <mam>."))
    for more in ((), turns):
        begun = await ask(endpoint, Dialect(prefill="continue_final_message"), prefill="<mam>", turns=more)
        free = await ask(endpoint, Dialect(), prefill="<mam>", turns=more)

        assert all(reply.prefilled and reply.completion.text.startswith("<mam>") for reply in begun)
        assert len({reply.completion.text for reply in begun}) > ANSWERS // 2
        assert not any(reply.prefilled for reply in free)
        added = begun[0].completion.usage.prompt - free[0].completion.usage.prompt
        assert 1 <= added <= 4, "the tag's tokens, without the end of a turn"


async def test_the_name_before_0_12_is_overlooked(endpoint: LiveEndpoint) -> None:
    """So that a 200 proves nothing, and the doctor has to look at the answer."""
    replies = await ask(endpoint, Dialect(constraint="guided_regex"), pattern=PATTERN)

    assert not all(re.fullmatch(PATTERN, reply.completion.text) for reply in replies)
