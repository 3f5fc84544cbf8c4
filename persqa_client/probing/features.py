"""Probes of single features with short requests.

Servers often ignore unknown fields and answer 200, so only an answer can show a feature. Equal token counts are no
evidence that an image can be sent by its uuid alone, because a server may count an image that it does not have.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from persqa_client.client.dialect import CONSTRAINT_FORMS, PREFILL_FORMS
from persqa_client.client.image_uploads import ImageUploads
from persqa_client.config import Sampling
from persqa_client.endpoints.profile import Reply
from persqa_client.errors import RowError
from persqa_client.probing.capabilities import FeatureSupport
from persqa_client.probing.probe_session import ImageFormat, ProbeSession
from persqa_client.probing.vision import COLOURS, SYSTEM, ask_colour_of, find_named_colour, make_colour_image
from persqa_client.task_groups import gather_all
from persqa_client.types import EncodedImage, Request, Turn

# No model gives this answer without the constraint. The question asks for something else, because some servers add a
# schema to the prompt instead of enforcing it, and the model may follow it.
PROBE_PATTERN = "persqa-[0-9]{6}"
CONTRADICTION = "Say hello: that one word in plain text, without digits, whatever format is asked for elsewhere."

# Tokens for answers that are not read; some hosted models require at least this many.
MIN_TOKENS = 16

PREFILL_TEXT = "The answer begins"
MAX_IMAGES_TRIED = 16
PAIR_SIDE = 112  # pixels
IMAGE_LIMIT = re.compile(
    r"(?:at most|up to|maximum (?:of|is)|limit (?:of|is)|max)\D{0,3}(\d+) (?:image|picture)", re.IGNORECASE
)

RANDOM_WORDS = Request(SYSTEM, (), "Write four random words and a random number.", seed=1)
# Seed and ``max_tokens`` of each request.
SEEDS = ((1, 24), (1, 25), (2, 24), (3, 24))


async def probe_constraints(probe: ProbeSession) -> dict[str, FeatureSupport]:
    support = await gather_all(*(_probe_constraint(probe, form) for form in CONSTRAINT_FORMS))
    return dict(zip(CONSTRAINT_FORMS, support, strict=True))


async def _probe_constraint(probe: ProbeSession, form: str) -> FeatureSupport:
    variation = probe.vary(constraint=form)
    request = Request(SYSTEM, (), CONTRADICTION, seed=0, pattern=PROBE_PATTERN, max_tokens=64)
    try:
        reply = await variation.complete_unless_refused(request, control=probe)
    except RowError:
        return "failed"
    finally:
        probe.adopt_refusals(variation, ignoring=[CONSTRAINT_FORMS[form]])
    if reply is None or not reply.constrained:
        return "refused"
    return "obeyed" if re.fullmatch(PROBE_PATTERN, reply.completion.text.strip()) else "ignored"


async def probe_prefills(probe: ProbeSession) -> dict[str, FeatureSupport]:
    """Compares each form with the same messages as a finished turn."""
    request = Request(SYSTEM, (), "Say hello.", seed=0, max_tokens=MIN_TOKENS)
    finished_turn = replace(request, turns=(Turn("assistant", PREFILL_TEXT),))
    finished, *replies = await gather_all(
        _complete_or_fail(probe.greedy(), finished_turn, control=probe),
        *(_complete_with_prefill(probe, form, replace(request, prefill=PREFILL_TEXT)) for form in PREFILL_FORMS),
    )
    return {form: judge_prefill(reply, finished) for form, reply in zip(PREFILL_FORMS, replies, strict=True)}


async def _complete_with_prefill(probe: ProbeSession, form: str, request: Request) -> Reply | RowError | None:
    variation = probe.greedy(prefill=form)
    reply = await _complete_or_fail(variation, request, control=probe)
    probe.adopt_refusals(variation, ignoring=PREFILL_FORMS[form])
    return reply


async def _complete_or_fail(probe: ProbeSession, request: Request, control: ProbeSession) -> Reply | RowError | None:
    """None if the server refuses the request; a RowError if the reason is unknown."""
    try:
        return await probe.complete_unless_refused(request, control)
    except RowError as error:
        return error


def judge_prefill(reply: Reply | RowError | None, finished: Reply | RowError | None) -> FeatureSupport:
    """A continued beginning has fewer prompt tokens than a finished turn, and another answer.

    A server that ignores the field gives the same reply to both. A server that drops the message drops it in both.
    """
    if isinstance(reply, RowError):
        return "failed"
    if reply is None or not reply.prefilled:
        return "refused"
    if isinstance(finished, RowError):
        return "failed"
    if finished is None:
        return "ignored"
    shorter = 0 < reply.completion.usage.prompt < finished.completion.usage.prompt
    continued = reply.completion.text.strip().removeprefix(PREFILL_TEXT).strip()
    return "obeyed" if shorter and continued not in {"", finished.completion.text.strip()} else "ignored"


async def count_images(probe: ProbeSession) -> tuple[int | None, int | None]:
    """Images per request: the limit stated in an error message, and the largest number accepted.

    Starts with many and halves, because most servers state their limit in the rejection.
    """
    image, count = make_colour_image("red", 28, format=probe.image_format), MAX_IMAGES_TRIED
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


async def probe_image_pair(probe: ProbeSession) -> bool | None:
    """Whether both images of a request reach the model: a change of either changes the answer. None without answers,
    for example of a model whose reasoning uses up the tokens.
    """
    red, blue = (make_colour_image(colour, PAIR_SIDE, format=probe.image_format) for colour in ("red", "blue"))
    request = Request(SYSTEM, (), "Which colours do these pictures have?", seed=0, max_tokens=MIN_TOKENS)
    variation = probe.greedy()
    replies = await gather_all(
        *(variation.try_complete(replace(request, pictures=pair)) for pair in ((red, red), (blue, red), (red, blue)))
    )
    same, *changed = (reply.completion.text.strip() if reply else "" for reply in replies)
    return None if not same or "" in changed else same not in changed


async def probe_seed(probe: ProbeSession) -> Literal["obeyed", "not shown", "refused"]:
    """A repeated request has another ``max_tokens``, so that no cache answers it."""
    sampling = Sampling(temperature=1.0, top_p=1.0, extra_body=probe.profile.sampling.extra_body)
    variation = probe.vary(sampling=sampling)
    requests = [replace(RANDOM_WORDS, seed=seed, max_tokens=tokens) for seed, tokens in SEEDS]
    replies = await gather_all(*map(variation.try_complete, requests))
    if "seed" in variation.profile.dialect.dropped:
        return "refused"
    first, repeated, *others = [reply.completion.text if reply else "" for reply in replies]
    repeats = bool(first.strip()) and repeated.startswith(first)
    return "obeyed" if repeats and set(others) != {first} else "not shown"


# Pixels. Models with random weights answer small images of different colours alike.
SIDE = 560
# Enough for answers of any model, since whole answers are compared.
MAX_TOKENS = 16
# After an unrelated failure the session sends the image instead of the uuid, which tests nothing.
TRIES = 3


def judge_uuid(colour: str, sent: str, other: str, by_uuid: str) -> bool:
    """Arguments: the answers at temperature 0 to an image of this colour, to another image, and to the first's uuid.

    The last answer must equal the first and differ from the second, or name the colour.
    """
    sent, other, by_uuid = (" ".join(text.split()) for text in (sent, other, by_uuid))
    if not (sent and other and by_uuid) or by_uuid == other:
        return False
    return by_uuid == sent or find_named_colour(by_uuid) == colour


async def probe_uuid(probe: ProbeSession) -> bool:
    """Requests have the form of a run's, including streamed uploads. The uuid is sent right after its image, because
    the server's cache may be small.
    """
    variation = probe.greedy()
    variation.profile.dialect = replace(variation.profile.dialect, sends_uuids=True)
    variation.profile.uploads = ImageUploads()
    first, second = random.sample(sorted(COLOURS), 2)
    other = await _complete_by_uuid(variation, lambda: make_image(second, probe.image_format), unknown=True)
    if other is None or other.used_uuids:
        return False
    image = make_image(first, probe.image_format)
    sent = await variation.try_complete(ask_colour_of(image, max_tokens=MAX_TOKENS))
    by_uuid = await _complete_by_uuid(variation, lambda: image, unknown=False) if sent is not None else None
    if sent is None or by_uuid is None or not by_uuid.used_uuids:
        return False
    return judge_uuid(first, *(reply.completion.text for reply in (sent, other, by_uuid)))


def make_image(colour: str, format: ImageFormat = "PNG") -> EncodedImage:
    image = make_colour_image(colour, SIDE, palette=format == "PNG", format=format)
    return replace(image, uuid=f"persqa-{secrets.token_hex(8)}")


async def _complete_by_uuid(
    probe: ProbeSession, next_image: Callable[[], EncodedImage], *, unknown: bool
) -> Reply | None:
    """The reply to a uuid, or to the image if the server requests it; None if it answers neither.

    ``unknown``: the session treats the image as sent, although it is not. A server that answers would also answer about
    an image that is no longer in its cache.
    """
    reply = None
    for _ in range(TRIES):
        image = next_image()
        if unknown and image.uuid is not None:
            probe.profile.uploads.cache.add((image.uuid,))
        reply = await probe.try_complete(ask_colour_of(image, max_tokens=MAX_TOKENS))
        if reply is None or reply.used_uuids or reply.attempts == 1:
            break
    return reply
