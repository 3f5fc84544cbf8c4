"""Probes of single features with short requests.

Servers often ignore unknown fields and answer 200, so only an answer can show a feature.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Literal

from persqa_client.client.dialect import CONSTRAINT_FORMS, PREFILL_FORMS, STREAM_FIELDS
from persqa_client.client.image_uploads import ImageUploads
from persqa_client.config import Sampling
from persqa_client.endpoints.session import Reply
from persqa_client.errors import RowError
from persqa_client.probing.capabilities import FeatureSupport
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.probing.vision import make_colour_image
from persqa_client.task_groups import gather_all
from persqa_client.types import Request, Turn

# No model answers this without the constraint.
PROBE_PATTERN = "persqa-[0-9]{6}"

SYSTEM = "You answer briefly."
# Tokens for answers that are not read; some hosted models require at least this many.
MIN_TOKENS = 16

PREFILL_TEXT = "The answer begins"
MAX_IMAGES_TRIED = 16
UUID_TRIES = 3
IMAGE_LIMIT = re.compile(
    r"(?:at most|up to|maximum (?:of|is)|limit (?:of|is)|max)\D{0,3}(\d+) (?:image|picture)", re.IGNORECASE
)

RANDOM_WORDS = Request(SYSTEM, (), "Write four random words and a random number.", seed=1, max_tokens=24)
SEEDS = (1, 1, 2, 3)


async def probe_constraints(probe: ProbeSession) -> dict[str, FeatureSupport]:
    support = await gather_all(*(_probe_constraint(probe, form) for form in CONSTRAINT_FORMS))
    return dict(zip(CONSTRAINT_FORMS, support, strict=True))


async def _probe_constraint(probe: ProbeSession, form: str) -> FeatureSupport:
    variation = probe.vary(constraint=form)
    reply = await variation.try_complete(
        Request(SYSTEM, (), "Say hello.", seed=0, pattern=PROBE_PATTERN, max_tokens=64)
    )
    probe.adopt_refusals(variation, ignoring=[CONSTRAINT_FORMS[form]])
    if reply is None or not reply.constrained:
        return "refused"
    return "obeyed" if re.fullmatch(PROBE_PATTERN, reply.completion.text.strip()) else "ignored"


async def probe_prefills(probe: ProbeSession) -> dict[str, FeatureSupport]:
    """Continuing the beginning of an answer takes fewer prompt tokens than a finished turn."""
    finished_turn = Request(
        SYSTEM, (), "Say hello.", seed=0, turns=(Turn("assistant", PREFILL_TEXT),), max_tokens=MIN_TOKENS
    )
    full, *replies = await gather_all(
        probe.vary().try_complete(finished_turn), *(_complete_with_prefill(probe, form) for form in PREFILL_FORMS)
    )
    return {form: _judge_prefill(reply, full) for form, reply in zip(PREFILL_FORMS, replies, strict=True)}


async def _complete_with_prefill(probe: ProbeSession, form: str) -> Reply | None:
    variation = probe.vary(prefill=form)
    reply = await variation.try_complete(
        Request(SYSTEM, (), "Say hello.", seed=0, prefill=PREFILL_TEXT, max_tokens=MIN_TOKENS)
    )
    probe.adopt_refusals(variation, ignoring=PREFILL_FORMS[form])
    return reply


def _judge_prefill(reply: Reply | None, finished_turn: Reply | None) -> FeatureSupport:
    if reply is None or not reply.prefilled:
        return "refused"
    full = 0 if finished_turn is None else finished_turn.completion.usage.prompt
    return "obeyed" if 0 < reply.completion.usage.prompt < full else "ignored"


async def count_images(probe: ProbeSession) -> tuple[int | None, int | None]:
    """Images per request: the limit stated in an error message, and the largest number accepted.

    Starts with many and halves, because most servers state their limit in the rejection.
    """
    image, count = make_colour_image("red", 28), MAX_IMAGES_TRIED
    while count:
        request = Request(SYSTEM, (image,) * count, "How many pictures are these?", seed=0, max_tokens=MIN_TOKENS)
        try:
            await probe.complete(request)
        except RowError as error:
            if (limit := IMAGE_LIMIT.search(error.raw or error.message)) is not None:
                return int(limit[1]), None
            count //= 2
            continue
        return None, count
    return None, None


async def probe_seed(probe: ProbeSession) -> Literal["obeyed", "not shown", "refused"]:
    sampling = Sampling(temperature=1.0, top_p=1.0, extra_body=probe.profile.sampling.extra_body)
    variation = probe.vary(sampling=sampling)
    replies = await gather_all(*(variation.try_complete(replace(RANDOM_WORDS, seed=seed)) for seed in SEEDS))
    if "seed" in variation.profile.dialect.dropped:
        return "refused"
    texts = [reply.completion.text if reply else "" for reply in replies]
    repeats = bool(texts[0].strip()) and texts[0] == texts[1]
    return "obeyed" if repeats and set(texts[2:]) != {texts[0]} else "not shown"


async def probe_uuid(probe: ProbeSession) -> bool:
    """Whether the uuid of an earlier image replaces the image."""
    variation = probe.vary()
    dialect = variation.profile.dialect
    # Not streamed: some servers report no usage for streams.
    variation.profile.dialect = replace(dialect, sends_uuids=True, dropped=dialect.dropped | frozenset(STREAM_FIELDS))
    variation.profile.uploads = ImageUploads()
    image = replace(make_colour_image("green", 56), uuid=f"persqa-{secrets.token_hex(8)}")
    request = Request(SYSTEM, (image,), "What is this?", seed=0, max_tokens=MIN_TOKENS)
    first = await variation.try_complete(request)
    second = await _complete_by_uuid(variation, request) if first else None
    if first is None or second is None:
        return False
    return second.completion.usage.prompt == first.completion.usage.prompt > 0


async def _complete_by_uuid(probe: ProbeSession, request: Request) -> Reply | None:
    """None if the server needs the image.

    After an unrelated failure the session sends the image, so the request is repeated.
    """
    for _ in range(UUID_TRIES):
        reply = await probe.try_complete(request)
        if reply is None or reply.used_uuids:
            return reply
        if reply.attempts == 1:
            break
    return None
