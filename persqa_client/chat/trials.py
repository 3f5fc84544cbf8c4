"""Single features of a server, each tried with a short request or two, believed when it shows. Talks to the endpoint.

A field that a server does not know is often ignored with a 200. What fails inside a trial is a finding; RunStopped and
Interrupted pass through.
"""

from __future__ import annotations

import copy
import re
import secrets
from dataclasses import replace
from typing import Any, Literal

import orjson

from persqa_client.chat.dialects import Dialect
from persqa_client.chat.forms import CONSTRAINTS, PREFILLS
from persqa_client.chat.requests import render
from persqa_client.chat.servers import Obedience
from persqa_client.chat.sessions import Reply, Session
from persqa_client.chat.swatches import swatch
from persqa_client.chat.together import together
from persqa_client.config import Sampling
from persqa_client.errors import AttemptError, RowError, RunStopped
from persqa_client.types import Act, Completion, Request, Turn

PROBE_PATTERN = "persqa-[0-9]{6}"
"""Nothing that a model would say of itself."""

SYSTEM = "You answer briefly."
FEW_TOKENS = 16
"""Enough where no answer is looked at; some hosted models take no fewer."""

BEGINNING = "The answer begins"
MANY_PICTURES = 16
LIMIT = re.compile(
    r"(?:at most|up to|maximum (?:of|is)|limit (?:of|is)|max)\D{0,3}(\d+) (?:image|picture)", re.IGNORECASE
)

DRAWN = Request(SYSTEM, (), "Write four random words and a random number.", seed=1, max_tokens=24)
SEEDS = (1, 1, 2, 3)


def fork(
    session: Session, *, constraint: str | None = None, prefill: str | None = None, sampling: Sampling | None = None
) -> Session:
    """The session in a dialect and sampling of its own: the same connections, limits and counts, but nothing that it
    learns changes the first one. Not to be closed."""
    other = copy.copy(session)
    other.dialect = replace(session.dialect, constraint=constraint, prefill=prefill)
    other.sampling = sampling or session.sampling
    return other


async def attempt(session: Session, request: Request) -> Reply | None:
    """The reply, or None where the server has none for this request."""
    try:
        return await session.complete(request)
    except RowError:
        return None


async def try_constraint(session: Session, form: str) -> Obedience:
    trial = fork(session, constraint=form)
    request = Request(SYSTEM, (), "Say hello.", seed=0, pattern=PROBE_PATTERN, max_tokens=64)
    reply = await attempt(trial, request)
    session.dialect = session.dialect.learn(trial.dialect, but=[CONSTRAINTS[form]])
    if reply is None or not reply.constrained:
        return "refused"
    return "obeyed" if re.fullmatch(PROBE_PATTERN, reply.completion.text.strip()) else "ignored"


async def try_constraints(session: Session, wanted: bool = True) -> dict[str, Obedience]:
    """Each form and what the server makes of it; nothing where that is not wanted."""
    if not wanted:
        return {}
    found = await together(*(try_constraint(session, form) for form in CONSTRAINTS))
    return dict(zip(CONSTRAINTS, found, strict=True))


async def try_prefills(session: Session, wanted: bool = True) -> dict[str, Obedience]:
    """Each form and what the server makes of it: a prompt that goes on from an answer's beginning is shorter than one
    that takes it for a finished turn. Nothing where that is not wanted."""
    if not wanted:
        return {}
    finished = Request(SYSTEM, (), "Say hello.", seed=0, turns=(Turn("assistant", BEGINNING),), max_tokens=FEW_TOKENS)
    whole, *found = await together(
        attempt(fork(session), finished), *(begin_answer(session, form) for form in PREFILLS)
    )
    return {form: judge_prefill(whole, begun) for form, begun in zip(PREFILLS, found, strict=True)}


async def begin_answer(session: Session, form: str) -> Reply | None:
    trial = fork(session, prefill=form)
    reply = await attempt(trial, Request(SYSTEM, (), "Say hello.", seed=0, prefill=BEGINNING, max_tokens=FEW_TOKENS))
    session.dialect = session.dialect.learn(trial.dialect, but=PREFILLS[form])
    return reply


def judge_prefill(whole: Reply | None, begun: Reply | None) -> Obedience:
    if begun is None or not begun.prefilled:
        return "refused"
    full = 0 if whole is None else whole.completion.usage.prompt
    return "obeyed" if 0 < begun.completion.usage.prompt < full else "ignored"


async def count_images(session: Session) -> tuple[int | None, int | None]:
    """How many pictures a request may have by the server's own words, and how many one was seen to have.

    Begins with many and halves, because a server that refuses them mostly names its limit.
    """
    picture, many = swatch("red", 28), MANY_PICTURES
    while many:
        request = Request(SYSTEM, (picture,) * many, "How many pictures are these?", seed=0, max_tokens=FEW_TOKENS)
        try:
            await session.complete(request)
        except RowError as error:
            if (found := LIMIT.search(error.raw or error.message)) is not None:
                return int(found[1]), None
            many //= 2
            continue
        return None, many
    return None, None


async def try_seed(session: Session) -> Literal["obeyed", "not shown", "refused"]:
    sampling = Sampling(temperature=1.0, top_p=1.0, extra_body=session.sampling.extra_body)
    trial = fork(session, sampling=sampling)
    replies = await together(*(attempt(trial, replace(DRAWN, seed=seed)) for seed in SEEDS))
    if trial.dialect.name("seed") is None:
        return "refused"
    texts = [reply.completion.text if reply else "" for reply in replies]
    repeats = bool(texts[0].strip()) and texts[0] == texts[1]
    return "obeyed" if repeats and set(texts[2:]) != {texts[0]} else "not shown"


async def try_uuid(session: Session) -> bool:
    """Whether a picture that was sent with a uuid need not be sent again."""
    request = Request(SYSTEM, (swatch("green", 56),), "What is this?", seed=0, max_tokens=FEW_TOKENS)
    dialect = plain(session.dialect)
    body = orjson.loads(
        bytes(render(request, model=session.endpoint.model, sampling=session.sampling, dialect=dialect))
    )
    part: dict[str, Any] = body["messages"][1]["content"][0]
    part["uuid"] = f"persqa-{secrets.token_hex(8)}"
    first = await send_once(session, orjson.dumps(body))
    part["image_url"] = None
    second = await send_once(session, orjson.dumps(body)) if first else None
    return first is not None and second is not None and second.usage.prompt == first.usage.prompt > 0


def plain(dialect: Dialect) -> Dialect:
    return replace(dialect, constraint=None, prefill=None)


async def send_once(session: Session, body: bytes) -> Completion | None:
    """One attempt of a body made by hand, under the session's limits; None where it brings no completion."""
    async with session.admission.slot(again=False):
        await session.allowance.permit(0, again=False)
        try:
            return await session.client.send(body)
        except AttemptError as error:
            if error.verdict.act is Act.STOP:
                raise RunStopped(error.verdict.code, error.verdict.message) from error
            return None
