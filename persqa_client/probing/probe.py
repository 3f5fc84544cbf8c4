"""Probes servers before a run: models and features."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from persqa_client.client.classify import classify_response
from persqa_client.client.json_text import load_json
from persqa_client.endpoints.outage import explain_stop
from persqa_client.endpoints.session import Session
from persqa_client.errors import AttemptError, RunStopped, ServerFailed, SettingsError
from persqa_client.probing.capabilities import (
    FeatureSupport,
    ServerCapabilities,
    StrategyChoice,
    explain_unusable_vision,
    require_model,
    resolve_strategy,
)
from persqa_client.probing.features import (
    count_images,
    probe_constraints,
    probe_image_pair,
    probe_prefills,
    probe_seed,
    probe_uuid,
)
from persqa_client.probing.probe_session import ProbeSession
from persqa_client.probing.vision import check_vision, detect_patch_size
from persqa_client.task_groups import gather_all, loop_time, task_group
from persqa_client.types import Json, RetryAction, Strategy

# ``identity``: only models and version. ``strategy``: what the strategy needs. ``all``: everything.
ProbeDepth = Literal["identity", "strategy", "all"]

MAX_GETS = 3
# Longer than any context.
MAX_COUNT = 2**40
# Strategies that use a constraint if possible.
CONSTRAINING_STRATEGIES = frozenset({"auto", "constrain", "surrogate"})
# The user's request fields that would lengthen the probes' answers.
LENGTHENING_FIELDS = frozenset({"min_tokens"})
MIN_COMPARED_TOKENS = 8
ACCEPTING_STATES = frozenset({"seen", "not shown", "no difference"})


async def probe_all(
    sessions: Sequence[Session],
    strategy: StrategyChoice,
    depth: ProbeDepth,
    *,
    uuid: bool = False,
    leave_out: Callable[[Session, RunStopped], None] | None = None,
) -> tuple[ServerCapabilities, ...]:
    """Raises RunStopped if a server cannot be used. It could join a running run only after a restart.

    ``leave_out`` is called instead, and if a server goes away meanwhile; it raises RunStopped for the last server. The
    result then lacks the server.
    """

    async def probe(session: Session) -> ServerCapabilities | None:
        probing = _probe_for_run(session, strategy, depth, uuid, name_url=len(sessions) > 1)
        return await (probing if leave_out is None else _probe_or_leave_out(session, probing, leave_out))

    found = await gather_all(*map(probe, sessions))
    return tuple(server for server in found if server is not None)


async def _probe_or_leave_out(
    session: Session,
    probing: Coroutine[Any, Any, ServerCapabilities],
    leave_out: Callable[[Session, RunStopped], None],
) -> ServerCapabilities | None:
    outage = session.outage
    tasks = asyncio.ensure_future(probing), asyncio.ensure_future(outage.wait_until_closed())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            # The last server is waited for.
            with suppress(RunStopped):
                leave_out(session, RunStopped("unavailable", outage.reason or "It does not answer."))
                return None
        return await tasks[0]
    except RunStopped as stop:
        leave_out(session, stop)
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _probe_for_run(
    session: Session, strategy: StrategyChoice, depth: ProbeDepth, uuid: bool, *, name_url: bool
) -> ServerCapabilities:
    try:
        if depth == "identity":
            server = await identify_server(session)
            require_model(server, session.endpoint.model)
        else:
            server = await probe_server(session, strategy=strategy, thorough=depth == "all", uuid=uuid)
        if depth != "strategy" and (problem := explain_unusable_vision(server)) is not None:
            raise RunStopped("no_pictures", problem)
        resolve_strategy(server, strategy)
    except RunStopped as stop:
        stop = await explain_stop(stop, session.endpoint.exit_error, session.client.alive)
        raise (with_url(stop, session.endpoint.base_url) if name_url else stop) from None
    return server


async def probe_server(
    session: Session, *, strategy: StrategyChoice = "auto", thorough: bool = False, uuid: bool = False
) -> ServerCapabilities:
    """Probes the features for a strategy, or all with ``thorough``, and sets the session's dialect.

    ``uuid``: test sending images by uuid. Raises RunStopped if nothing listens, the key or URL is wrong, or the model
    is not served.
    """
    server = await identify_server(session)
    require_model(server, session.endpoint.model)
    probe = ProbeSession.of(session)
    extra_body = probe.profile.sampling.extra_body
    short = {name: value for name, value in extra_body.items() if name not in LENGTHENING_FIELDS}
    probe = probe.vary(sampling=probe.profile.sampling.model_copy(update={"extra_body": short}))
    vision, seconds = await check_vision(probe)
    if vision.state in ACCEPTING_STATES and not vision.text:
        # As with random weights. vLLM supports ``min_tokens``; if it is refused, the tests show no support.
        probe = replace(probe, min_tokens=MIN_COMPARED_TOKENS)
    server = replace(server, vision=vision, picture_patch=detect_patch_size(vision), latency=seconds)
    server = await _probe_features(probe, server, strategy, thorough=thorough, uuid=uuid)
    session.profile.dialect = replace(
        probe.profile.dialect,
        constraint=server.constraint,
        prefill=server.prefill,
        sends_uuids=uuid and server.uuid is True,
    )
    return server


async def _probe_features(
    probe: ProbeSession, server: ServerCapabilities, strategy: StrategyChoice, *, thorough: bool, uuid: bool
) -> ServerCapabilities:
    accepts_images = server.vision is not None and server.vision.state in ACCEPTING_STATES
    async with task_group() as group:
        constraining = thorough or strategy in CONSTRAINING_STRATEGIES
        constrain, prefill = strategy == "constrain", strategy == "prefill"
        constraints = (
            group.create_task(_test_forms(probe, probe_constraints, is_needed=constrain)) if constraining else None
        )
        prefills = (
            group.create_task(_test_forms(probe, probe_prefills, is_needed=prefill)) if thorough or prefill else None
        )
        images = group.create_task(count_images(probe)) if thorough and accepts_images else None
        pair = group.create_task(probe_image_pair(probe)) if thorough and accepts_images else None
        seed = group.create_task(probe_seed(probe)) if thorough else None
        keeps = group.create_task(probe_uuid(probe)) if (thorough or uuid) and accepts_images else None
    limit, taken = images.result() if images else (None, None)
    return replace(
        server,
        constraints=constraints.result() if constraints else {},
        constraint=find_obeyed_form(constraints.result()) if constraints else None,
        prefills=prefills.result() if prefills else {},
        prefill=find_obeyed_form(prefills.result()) if prefills else None,
        image_limit=limit,
        images_taken=taken,
        image_pair=pair.result() if pair else None,
        seed=seed.result() if seed else None,
        uuid=keeps.result() if keeps else None,
    )


async def _test_forms(
    probe: ProbeSession,
    test: Callable[[ProbeSession], Awaitable[dict[str, FeatureSupport]]],
    *,
    is_needed: bool,
) -> dict[str, FeatureSupport]:
    """``is_needed``: the run stops without such a form, so a test without a result is repeated as during an outage."""
    session, started = probe.session, loop_time()
    for waits in itertools.count():
        support = await test(probe)
        is_known = "failed" not in support.values() or find_obeyed_form(support) is not None
        if is_known or not is_needed or loop_time() - started >= session.limits.max_outage:
            break
        await session.concurrency_limit.sleep(session.backoff.max_wait(waits))
    return support


def find_obeyed_form(support: Mapping[str, FeatureSupport]) -> str | None:
    return next((form for form, found in support.items() if found == "obeyed"), None)


async def identify_server(session: Session, *, needs_models: bool = False) -> ServerCapabilities:
    """``needs_models``: whether a server that is busy or fails is an error; a run waits for it at its first request."""
    endpoint = session.endpoint
    try:
        async with task_group() as group:
            models = group.create_task(_get_with_retries(session, f"{endpoint.base_url}/models"))
            version = group.create_task(_get_json(session, f"{endpoint.root_url}/version"))
        status, body = models.result()
        if status == 404 and not endpoint.base_url.endswith("/v1"):
            await _suggest_v1(session)
    except AttemptError as error:
        raise RunStopped(error.decision.code, error.decision.message) from error
    if status == 401 or (needs_models and (status == 429 or status >= 500)):
        # Except 403: a key may be valid for completions but not for the list of models.
        decision = classify_response(status, {}, body, session.client.context, now=0.0)
        # Some servers never list their models.
        remedy = "" if status == 401 else " No list of models was received: name the model with --model."
        raise RunStopped(decision.code, decision.message + remedy)
    if needs_models and status == 404:
        raise SettingsError(
            f"--model: name the model to use; the endpoint lists none. {endpoint.base_url}/models answers 404: check "
            "the path of --base-url, which usually ends in /v1."
        )
    cards = _read_cards(body) if status == 200 else []
    own: Json = next((card for card in cards if card["id"] == endpoint.model), {})
    found = version.result() if status == 200 else {}
    redact = session.client.redact
    return ServerCapabilities(
        models=tuple(name if name == endpoint.model else redact(name) for name in (card["id"] for card in cards)),
        owner=_read_text(own, "owned_by", redact),
        version=_read_text(found, "version", redact),
        root=_read_text(own, "root", redact),
        parent=_read_text(own, "parent", redact),
        max_model_len=_read_count(own, "max_model_len"),
    )


def _read_cards(body: bytes) -> list[Json]:
    """The models with a name. The list is in ``data``; some gateways return the list itself."""
    data = load_json(body)
    listed = data.get("data") if isinstance(data, dict) else data
    cards = [card for card in listed if isinstance(card, dict)] if isinstance(listed, list) else []
    return [card for card in cards if isinstance(name := card.get("id"), str) and name]


def _read_text(card: Json, name: str, redact: Callable[[str], str]) -> str | None:
    value = card.get(name)
    return redact(value) if isinstance(value, str) else None


def _read_count(card: Json, name: str) -> int | None:
    """A number from 1 on, also if it is a string or a float of that value."""
    value = card.get(name)
    try:
        count = int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0
    except (ValueError, OverflowError):
        return None
    return count if 0 < count < MAX_COUNT else None


async def _get_with_retries(session: Session, url: str) -> tuple[int, bytes]:
    for waits in range(MAX_GETS - 1):
        try:
            return await session.client.get(url)
        except AttemptError as error:
            if error.decision.action is RetryAction.STOP:
                raise
            await session.concurrency_limit.sleep(session.backoff.max_wait(waits))
    return await session.client.get(url)


async def _suggest_v1(session: Session) -> None:
    base_url = session.endpoint.base_url
    status, _ = await session.client.get(f"{base_url}/v1/models")
    if status in {200, 401}:
        raise RunStopped("wrong_url", f"{base_url} answers under /v1: use --base-url {base_url}/v1.")


async def _get_json(session: Session, url: str) -> Json:
    try:
        status, body = await session.client.get(url)
    except AttemptError:
        return {}
    return _load_object(body) if status == 200 else {}


def _load_object(body: bytes) -> Json:
    data = load_json(body)
    return data if isinstance(data, dict) else {}


def with_url(stop: RunStopped, url: str) -> RunStopped:
    """Adds the URL, unless the message has it or is about a server started by this program."""
    names_it = isinstance(stop, ServerFailed) or url in stop.message
    return stop if names_it else RunStopped(stop.code, f"{url}: {stop.message}")


def resolve_common_strategy(servers: Sequence[ServerCapabilities], strategy: StrategyChoice) -> Strategy:
    """``auto`` is ``constrain`` only if all servers support some form. Raises RunStopped like ``resolve_strategy``."""
    resolved = {resolve_strategy(server, strategy) for server in servers}
    return resolved.pop() if len(resolved) == 1 else "direct"


def shortest_context(servers: Sequence[ServerCapabilities]) -> int | None:
    return min((server.max_model_len for server in servers if server.max_model_len), default=None)
