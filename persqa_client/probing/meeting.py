"""Getting to know the endpoints of a run before anything depends on them: all at once, each must be well. Talks to
them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from persqa_client.endpoints.gone import explained
from persqa_client.endpoints.session import Session
from persqa_client.errors import RunStopped, ServerFailed
from persqa_client.probing.capabilities import Server, Wanted, settle_strategy, unfit, unknown_model
from persqa_client.probing.probe import examine, look
from persqa_client.task_groups import together
from persqa_client.types import Strategy

Care = Literal["look", "examine", "thorough"]
"""How closely servers are looked at: their lists alone, what a strategy needs, or all that a whole run may need."""


async def meet(sessions: Sequence[Session], wanted: Wanted, care: Care, *, uuid: bool = False) -> tuple[Server, ...]:
    """What each server is. Raises RunStopped for the first that is not fit for the run, by its name where there are
    several: what is wrong at the start is a slip, and half the servers would go unused for hours."""
    return tuple(await together(*(meet_one(session, wanted, care, uuid, len(sessions) > 1) for session in sessions)))


async def meet_one(session: Session, wanted: Wanted, care: Care, uuid: bool, named: bool) -> Server:
    try:
        server = await find_out(session, wanted, care, uuid)
        if care != "examine" and (sentence := unfit(server)) is not None:
            raise RunStopped("no_pictures", sentence)
        settle_strategy(server, wanted)
    except RunStopped as stop:
        reason = await explained(stop, session.endpoint.gone, session.client.alive)
        raise (by_name(reason, session.endpoint.base_url) if named else reason) from None
    return server


async def find_out(session: Session, wanted: Wanted, care: Care, uuid: bool) -> Server:
    if care != "look":
        return await examine(session, strategy=wanted, thorough=care == "thorough", uuid=uuid)
    server = await look(session)
    if (sentence := unknown_model(server, session.endpoint.model)) is not None:
        raise RunStopped("unknown_model", sentence)
    return server


def by_name(stop: RunStopped, url: str) -> RunStopped:
    """The stop with the endpoint that it speaks of; a server of one's own is named by its model."""
    told = isinstance(stop, ServerFailed) or url in stop.message
    return stop if told else RunStopped(stop.code, f"{url}: {stop.message}")


def agree(servers: Sequence[Server], wanted: Wanted) -> Strategy:
    """The one strategy of a run: all servers must do what is wanted, each in its own way. Raises RunStopped."""
    found = {settle_strategy(server, wanted) for server in servers}
    return found.pop() if len(found) == 1 else "direct"


def shortest_context(servers: Sequence[Server]) -> int | None:
    """The room that an answer has wherever it is given; None where no server tells."""
    return min((server.max_model_len for server in servers if server.max_model_len), default=None)
