"""What a server is and what it really obeys, found out before anything depends on it. Talks to the endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import orjson

from persqa_client.client.classify import classify_response
from persqa_client.endpoints.outage import explained
from persqa_client.endpoints.session import Session
from persqa_client.errors import AttemptError, RunStopped, ServerFailed
from persqa_client.probing.capabilities import (
    FeatureSupport,
    ServerCapabilities,
    StrategyChoice,
    explain_unknown_model,
    explain_unusable_vision,
    resolve_strategy,
)
from persqa_client.probing.features import (
    count_images,
    fork,
    try_constraints,
    try_prefills,
    try_seed,
    try_uuid,
)
from persqa_client.probing.vision import check_vision, patch_of
from persqa_client.task_groups import gather_all, task_group
from persqa_client.types import RetryAction, Strategy

LOOKS = 3
HELD = frozenset({"auto", "constrain", "surrogate"})
"""Strategies that go with a pattern where the server obeys one."""
LENGTHENING = frozenset({"min_tokens"})
"""Of a person's own request fields, those that short answers can't bear."""


async def probe_server(
    session: Session, *, strategy: StrategyChoice = "auto", thorough: bool = False, uuid: bool = False
) -> ServerCapabilities:
    """What a run by this strategy needs to know, or all that can be found out; about three round trips.

    Afterwards the session speaks as the server was found to understand; with ``uuid``, pictures that have one are sent
    once where the server keeps them. Raises RunStopped where nothing listens, the
    key is refused, the address is wrong or the model is not served.
    """
    server = await identify_server(session)
    if (sentence := explain_unknown_model(server, session.endpoint.model)) is not None:
        raise RunStopped("unknown_model", sentence)
    sampling = session.sampling
    short = {name: value for name, value in sampling.extra_body.items() if name not in LENGTHENING}
    trial = fork(session, sampling=sampling.model_copy(update={"extra_body": short}))
    sight, seconds = await check_vision(trial)
    server = replace(server, sight=sight, picture_patch=patch_of(sight), latency=seconds)
    server = await examine_features(trial, server, strategy, thorough, uuid)
    keeps = uuid and server.uuid is True
    session.dialect = replace(trial.dialect, constraint=server.constraint, prefill=server.prefill, sends_uuids=keeps)
    return server


async def examine_features(
    session: Session, server: ServerCapabilities, strategy: StrategyChoice, thorough: bool, wants_uuid: bool
) -> ServerCapabilities:
    """The features that are independent of one another, all at once."""
    sees = server.sight is not None and server.sight.state in {"seen", "not shown"}
    async with task_group() as group:
        constraints = group.create_task(try_constraints(session, thorough or strategy in HELD))
        prefills = group.create_task(try_prefills(session, thorough or strategy == "prefill"))
        images = group.create_task(count_images(session)) if thorough and sees else None
        seed = group.create_task(try_seed(session)) if thorough else None
        uuid = group.create_task(try_uuid(session)) if (thorough or wants_uuid) and sees else None
    limit, taken = images.result() if images else (None, None)
    return replace(
        server,
        constraint=first_obeyed(constraints.result()),
        constraints=constraints.result(),
        prefill=first_obeyed(prefills.result()),
        prefills=prefills.result(),
        image_limit=limit,
        images_taken=taken,
        seed=seed.result() if seed else None,
        uuid=uuid.result() if uuid else None,
    )


def first_obeyed(forms: Mapping[str, FeatureSupport]) -> str | None:
    return next((form for form, found in forms.items() if found == "obeyed"), None)


async def identify_server(session: Session) -> ServerCapabilities:
    """Models and version. Raises RunStopped where nothing listens, the key is refused or the address is wrong."""
    endpoint = session.endpoint
    try:
        async with task_group() as group:
            listing = group.create_task(_get_patiently(session, f"{endpoint.base_url}/models"))
            telling = group.create_task(_get_json(session, f"{endpoint.root_url}/version"))
        status, body = listing.result()
        if status == 404 and not endpoint.base_url.endswith("/v1"):
            await _suggest_v1(session)
        _refuse_early(session, status, body)
        version = telling.result() if status == 200 else {}
    except AttemptError as error:
        raise RunStopped(error.decision.code, error.decision.message) from error
    cards = [card for card in _load(body).get("data") or [] if isinstance(card, dict)] if status == 200 else []
    own: dict[str, Any] = next((card for card in cards if card.get("id") == endpoint.model), {})
    return ServerCapabilities(
        models=tuple(str(card.get("id")) for card in cards),
        owner=own.get("owned_by"),
        version=version.get("version"),
        max_model_len=own.get("max_model_len"),
    )


async def _get_patiently(session: Session, url: str) -> tuple[int, bytes]:
    """A GET that one broken connection does not end. Raises AttemptError."""
    for waits in range(LOOKS - 1):
        try:
            return await session.client.get(url)
        except AttemptError as error:
            if error.decision.action is RetryAction.STOP:
                raise
            await session.concurrency_limit.sleep(session.backoff.max_wait(waits))
    return await session.client.get(url)


def _refuse_early(session: Session, status: int, body: bytes) -> None:
    # A 403 here proves nothing: a key may be good for chats and not for lists.
    if status == 401:
        verdict = classify_response(status, {}, body, session.client.context, now=0.0)
        raise RunStopped(verdict.code, verdict.message)


async def _suggest_v1(session: Session) -> None:
    base = session.endpoint.base_url
    status, _ = await session.client.get(f"{base}/v1/models")
    if status in {200, 401}:
        raise RunStopped("wrong_url", f"{base} answers under /v1: give --base-url {base}/v1.")


async def _get_json(session: Session, url: str) -> dict[str, Any]:
    try:
        status, body = await session.client.get(url)
    except AttemptError:
        return {}
    return _load(body) if status == 200 else {}


def _load(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


# Getting to know the endpoints of a run before anything depends on them: all at once, each must be well. Talks to
# them.

ProbeDepth = Literal["look", "examine", "thorough"]
"""How closely servers are looked at: their lists alone, what a strategy needs, or all that a whole run may need."""


async def probe_all(
    sessions: Sequence[Session], wanted: StrategyChoice, care: ProbeDepth, *, uuid: bool = False
) -> tuple[ServerCapabilities, ...]:
    """What each server is. Raises RunStopped for the first that is not fit for the run, by its name where there are
    several: what is wrong at the start is a slip, and half the servers would go unused for hours."""
    return tuple(await gather_all(*(meet_one(session, wanted, care, uuid, len(sessions) > 1) for session in sessions)))


async def meet_one(
    session: Session, wanted: StrategyChoice, care: ProbeDepth, uuid: bool, named: bool
) -> ServerCapabilities:
    try:
        server = await find_out(session, wanted, care, uuid)
        if care != "examine" and (sentence := explain_unusable_vision(server)) is not None:
            raise RunStopped("no_pictures", sentence)
        resolve_strategy(server, wanted)
    except RunStopped as stop:
        reason = await explained(stop, session.endpoint.exit_error, session.client.alive)
        raise (by_name(reason, session.endpoint.base_url) if named else reason) from None
    return server


async def find_out(session: Session, wanted: StrategyChoice, care: ProbeDepth, uuid: bool) -> ServerCapabilities:
    if care != "look":
        return await probe_server(session, strategy=wanted, thorough=care == "thorough", uuid=uuid)
    server = await identify_server(session)
    if (sentence := explain_unknown_model(server, session.endpoint.model)) is not None:
        raise RunStopped("unknown_model", sentence)
    return server


def by_name(stop: RunStopped, url: str) -> RunStopped:
    """The stop with the endpoint that it speaks of; a server of one's own is named by its model."""
    told = isinstance(stop, ServerFailed) or url in stop.message
    return stop if told else RunStopped(stop.code, f"{url}: {stop.message}")


def resolve_common_strategy(servers: Sequence[ServerCapabilities], wanted: StrategyChoice) -> Strategy:
    """The one strategy of a run: all servers must do what is wanted, each in its own way. Raises RunStopped."""
    found = {resolve_strategy(server, wanted) for server in servers}
    return found.pop() if len(found) == 1 else "direct"


def shortest_context(servers: Sequence[ServerCapabilities]) -> int | None:
    """The room that an answer has wherever it is given; None where no server tells."""
    return min((server.max_model_len for server in servers if server.max_model_len), default=None)
