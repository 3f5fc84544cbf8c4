"""Asks an endpoint for the only model that it serves, for settings that do not name one."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2

from persqa_client.config import UNKNOWN_MODEL, Endpoint, Limits, build_settings
from persqa_client.endpoints.session import Session
from persqa_client.errors import SettingsError
from persqa_client.probing.probe import identify_server

# Number of models in a message.
MAX_MODELS_SHOWN = 5


def lacks_model(endpoints: Sequence[Endpoint]) -> bool:
    return any(endpoint.model == UNKNOWN_MODEL for endpoint in endpoints)


async def add_model(
    endpoints: Sequence[Endpoint], timeout: float, http_client: httpx2.AsyncClient | None = None
) -> tuple[Endpoint, ...]:
    """The endpoints with the model that one of them names, or else with the only one that the first serves.

    Raises like ``find_only_model``.
    """
    named = next((endpoint.model for endpoint in endpoints if endpoint.model != UNKNOWN_MODEL), None)
    model = named or await find_only_model(endpoints[0], timeout, http_client)
    return tuple(
        endpoint.model_copy(update={"model": model}) if endpoint.model == UNKNOWN_MODEL else endpoint
        for endpoint in endpoints
    )


async def find_only_model(endpoint: Endpoint, timeout: float, http_client: httpx2.AsyncClient | None = None) -> str:
    """Raises SettingsError if the server lists no model or several, and RunStopped if it does not answer or is busy."""
    limits = build_settings(Limits, timeout=timeout, max_attempts=2, max_outage=0)
    async with Session(endpoint, limits=limits, http_client=http_client) as session:
        models = (await identify_server(session, needs_models=True)).models
    if len(models) == 1:
        return models[0]
    shown = ", ".join(models[:MAX_MODELS_SHOWN]) + (", …" if len(models) > MAX_MODELS_SHOWN else "")
    reason = f"the endpoint serves {len(models)} models: {shown}" if models else "the endpoint lists none"
    raise SettingsError(f"--model: name the model to use; {reason}.")
