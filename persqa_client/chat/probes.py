"""What a server is and what it really obeys, found out by asking it. Talks to the endpoint.

A field that a server does not know is often ignored with a 200, so a constraint is believed only when it shows.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from persqa_client.chat.dialects import CONSTRAINT_FIELDS
from persqa_client.chat.sessions import Session
from persqa_client.chat.verdicts import judge_reply
from persqa_client.errors import AttemptError, RowError, RunStopped
from persqa_client.types import Act, Request

PROBE_PATTERN = "persqa-[0-9]{6}"
"""Nothing that a model would say of itself."""
LOOKS = 3


@dataclass(frozen=True, slots=True)
class Server:
    """What was found. ``models`` is empty where the server keeps no list; ``version`` is vLLM's."""

    models: tuple[str, ...] = ()
    owner: str | None = None
    version: str | None = None
    max_model_len: int | None = None
    constraint: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"models": list(self.models[:20])}


async def look(session: Session) -> Server:
    """Models and version. Raises RunStopped where nothing listens, the key is refused or the address is wrong."""
    endpoint = session.endpoint
    try:
        status, body = await _get_patiently(session, f"{endpoint.base_url}/models")
        if status == 404 and not endpoint.base_url.endswith("/v1"):
            await _suggest_v1(session)
        _refuse_early(session, status, body)
        version = await _get_json(session, f"{endpoint.root_url}/version") if status == 200 else {}
    except AttemptError as error:
        raise RunStopped(error.verdict.code, error.verdict.message) from error
    cards = [card for card in _load(body).get("data") or [] if isinstance(card, dict)] if status == 200 else []
    own: dict[str, Any] = next((card for card in cards if card.get("id") == endpoint.model), {})
    return Server(
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
            if error.verdict.act is Act.STOP:
                raise
            await session.admission.pause(session.backoff.ceiling(waits))
    return await session.client.get(url)


def _refuse_early(session: Session, status: int, body: bytes) -> None:
    # A 403 here proves nothing: a key may be good for chats and not for lists.
    if status == 401:
        verdict = judge_reply(status, {}, body, session.client.context, now=0.0)
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


async def find_constraint(session: Session) -> str | None:
    """The field by which this server can be held to a pattern, or None; costs one short answer for each field tried.

    Raises RunStopped as any request does. Leaves the session's dialect as the probe taught it, the field included.
    """
    for field in CONSTRAINT_FIELDS:
        before = session.dialect
        session.dialect = replace(before, constraint=field)
        if field not in before.dropped and await obeys(session, PROBE_PATTERN):
            return field
        session.dialect = replace(session.dialect, constraint=None, dropped=session.dialect.dropped - {field})
    return None


async def obeys(session: Session, pattern: str) -> bool:
    request = Request(
        system="You answer briefly.", pictures=(), prompt="Say hello.", seed=0, pattern=pattern, max_tokens=32
    )
    try:
        reply = await session.complete(request)
    except RowError:
        return False
    return re.fullmatch(pattern, reply.completion.text.strip()) is not None


def unknown_model(server: Server, model: str) -> str | None:
    """One sentence where vLLM's own list lacks the model (other servers' lists need not be complete)."""
    if server.owner is None and server.version and server.models and model not in server.models:
        return f"The server does not serve {model!r}; it serves {', '.join(server.models[:5])}. Check --model."
    return None
