"""Single features of a server, each tried with a short request or two, believed when it shows. Talks to the endpoint.

A field that a server does not know is often ignored with a 200. What fails inside a trial is a finding; RunStopped and
Interrupted pass through.
"""

from __future__ import annotations

import copy
import re
import secrets
from dataclasses import replace
from typing import Literal

from persqa_client.client.dialect import CONSTRAINT_FORMS, PREFILL_FORMS, STREAM_FIELDS
from persqa_client.client.image_uploads import ImageUploads
from persqa_client.client.retry import RequestState
from persqa_client.config import Sampling
from persqa_client.endpoints.session import Reply, Session
from persqa_client.errors import RowError
from persqa_client.probing.capabilities import FeatureSupport
from persqa_client.probing.vision import make_colour_picture
from persqa_client.task_groups import gather_all
from persqa_client.types import Request, Turn

PROBE_PATTERN = "persqa-[0-9]{6}"
"""Nothing that a model would say of itself."""

SYSTEM = "You answer briefly."
FEW_TOKENS = 16
"""Enough where no answer is looked at; some hosted models take no fewer."""

BEGINNING = "The answer begins"
MANY_PICTURES = 16
NAMINGS = 3
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


async def attempt(session: Session, request: Request, trial: RequestState | None = None) -> Reply | None:
    """The reply, or None where the server has none for this request; ``trial`` then tells what it took."""
    try:
        return await session.complete(request, trial)
    except RowError:
        return None


async def try_constraint(session: Session, form: str) -> FeatureSupport:
    trial = fork(session, constraint=form)
    request = Request(SYSTEM, (), "Say hello.", seed=0, pattern=PROBE_PATTERN, max_tokens=64)
    reply = await attempt(trial, request)
    session.dialect = session.dialect.with_refusals(trial.dialect, ignoring=[CONSTRAINT_FORMS[form]])
    if reply is None or not reply.constrained:
        return "refused"
    return "obeyed" if re.fullmatch(PROBE_PATTERN, reply.completion.text.strip()) else "ignored"


async def try_constraints(session: Session, wanted: bool = True) -> dict[str, FeatureSupport]:
    """Each form and what the server makes of it; nothing where that is not wanted."""
    if not wanted:
        return {}
    found = await gather_all(*(try_constraint(session, form) for form in CONSTRAINT_FORMS))
    return dict(zip(CONSTRAINT_FORMS, found, strict=True))


async def try_prefills(session: Session, wanted: bool = True) -> dict[str, FeatureSupport]:
    """Each form and what the server makes of it: a prompt that goes on from an answer's beginning is shorter than one
    that takes it for a finished turn. Nothing where that is not wanted."""
    if not wanted:
        return {}
    finished = Request(SYSTEM, (), "Say hello.", seed=0, turns=(Turn("assistant", BEGINNING),), max_tokens=FEW_TOKENS)
    whole, *found = await gather_all(
        attempt(fork(session), finished), *(begin_answer(session, form) for form in PREFILL_FORMS)
    )
    return {form: judge_prefill(whole, begun) for form, begun in zip(PREFILL_FORMS, found, strict=True)}


async def begin_answer(session: Session, form: str) -> Reply | None:
    trial = fork(session, prefill=form)
    reply = await attempt(trial, Request(SYSTEM, (), "Say hello.", seed=0, prefill=BEGINNING, max_tokens=FEW_TOKENS))
    session.dialect = session.dialect.with_refusals(trial.dialect, ignoring=PREFILL_FORMS[form])
    return reply


def judge_prefill(whole: Reply | None, begun: Reply | None) -> FeatureSupport:
    if begun is None or not begun.prefilled:
        return "refused"
    full = 0 if whole is None else whole.completion.usage.prompt
    return "obeyed" if 0 < begun.completion.usage.prompt < full else "ignored"


async def count_images(session: Session) -> tuple[int | None, int | None]:
    """How many pictures a request may have by the server's own words, and how many one was seen to have.

    Begins with many and halves, because a server that refuses them mostly names its limit.
    """
    picture, many = make_colour_picture("red", 28), MANY_PICTURES
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
    replies = await gather_all(*(attempt(trial, replace(DRAWN, seed=seed)) for seed in SEEDS))
    if trial.dialect.field_name("seed") is None:
        return "refused"
    texts = [reply.completion.text if reply else "" for reply in replies]
    repeats = bool(texts[0].strip()) and texts[0] == texts[1]
    return "obeyed" if repeats and set(texts[2:]) != {texts[0]} else "not shown"


async def try_uuid(session: Session) -> bool:
    """Whether a picture that was sent with a uuid need not be sent again."""
    trial = fork(session)
    # In one piece: not every server tells the usage of an answer that comes in several.
    trial.dialect = replace(trial.dialect, sends_uuids=True, dropped=trial.dialect.dropped | frozenset(STREAM_FIELDS))
    trial.uploads = ImageUploads()
    picture = replace(make_colour_picture("green", 56), uuid=f"persqa-{secrets.token_hex(8)}")
    request = Request(SYSTEM, (picture,), "What is this?", seed=0, max_tokens=FEW_TOKENS)
    first = await attempt(trial, request)
    second = await attempt_named(trial, request) if first else None
    if first is None or second is None:
        return False
    return second.completion.usage.prompt == first.completion.usage.prompt > 0


async def attempt_named(session: Session, request: Request) -> Reply | None:
    """The reply to the uuids of pictures alone; None where the server wants their bytes. Where there was trouble of
    another kind, the bytes go again, and their uuids after them."""
    for _ in range(NAMINGS):
        trial = RequestState()
        reply = await attempt(session, request, trial)
        if reply is None or trial.known_uuids:
            return reply
        if not trial.spent:
            break
    return None
