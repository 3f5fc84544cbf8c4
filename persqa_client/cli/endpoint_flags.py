"""The endpoints of a run, by its flags, and the model: the only one that the endpoint serves, if none is given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from persqa_client.cli.messages import print_message
from persqa_client.cli.run_flags import VARIABLES
from persqa_client.config import Endpoint, Limits, build_settings
from persqa_client.endpoints.credentials import UNKNOWN_MODEL, Credentials, make_endpoints
from persqa_client.endpoints.session import Session
from persqa_client.errors import SettingsError
from persqa_client.keys import mask_keys
from persqa_client.probing.probe import identify_server

# Number of models in a message.
MAX_MODELS_SHOWN = 5
CREDENTIAL_FLAGS = ("api_key_env", "api_key_command", "header", "ca_cert", "client_cert")


def read_endpoints(flags: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """Sends nothing: without --model, that of the endpoints is ``UNKNOWN_MODEL``.

    Raises SettingsError if there is no endpoint, or if flags need ``--serve``.
    """
    for name, default in (("serve_args", None), ("device", "auto"), ("vllm_command", None)):
        if flags[name] != default:
            raise SettingsError(f"--{name.replace('_', '-')} needs --serve MODEL, which starts a server.")
    if not flags["base_url"]:
        variable = VARIABLES["base_url"]
        raise SettingsError(f"--base-url: name an endpoint, set {variable}, or start a server with --serve MODEL.")
    return make_endpoints(flags["base_url"], flags["model"] or UNKNOWN_MODEL, read_credentials(flags), os.environ)


def has_unknown_model(endpoints: Sequence[Endpoint]) -> bool:
    return endpoints[0].model == UNKNOWN_MODEL


async def use_only_model(endpoints: Sequence[Endpoint], timeout: float) -> tuple[Endpoint, ...]:
    """The endpoints with the only model that the first one serves.

    Raises SettingsError if it lists no model or several, and RunStopped if it does not answer.
    """
    limits = build_settings(Limits, timeout=timeout, max_attempts=2, max_outage=0)
    async with Session(endpoints[0], limits=limits) as session:
        models = (await identify_server(session)).models
    if len(models) != 1:
        shown = ", ".join(models[:MAX_MODELS_SHOWN]) + (", …" if len(models) > MAX_MODELS_SHOWN else "")
        reason = f"the endpoint serves {len(models)} models: {shown}" if models else "the endpoint lists none"
        raise SettingsError(f"--model: name the model to use; {reason}.")
    print_message(f"Model: {mask_keys(models[0])}")
    return tuple(endpoint.model_copy(update={"model": models[0]}) for endpoint in endpoints)


def read_credentials(flags: Mapping[str, Any]) -> Credentials:
    return Credentials(
        flags["api_key_env"] or (),
        flags["api_key_command"] or (),
        flags["header"] or (),
        flags["ca_cert"],
        flags["client_cert"],
    )
