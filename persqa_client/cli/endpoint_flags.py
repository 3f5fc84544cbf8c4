"""The endpoints of a run, by its flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from persqa_client.cli.run_flags import VARIABLES
from persqa_client.config import UNKNOWN_MODEL, Endpoint
from persqa_client.endpoints.credentials import PLACEHOLDER_URL, Credentials, keep_local, make_endpoints
from persqa_client.errors import SettingsError
from persqa_client.suggestions import find_similar_name

CREDENTIAL_FLAGS = ("api_key_env", "api_key_command", "header", "ca_cert", "client_cert")


def read_endpoints(flags: Mapping[str, Any], *, sends: bool = True) -> tuple[Endpoint, ...]:
    """Sends nothing: without --model, that of the endpoints is ``UNKNOWN_MODEL``.

    ``sends``: whether requests will be sent; otherwise a placeholder stands for an endpoint that is not given.
    Raises SettingsError if there is no endpoint, or if flags need ``--serve``.
    """
    for name, default in (("serve_args", None), ("device", "auto"), ("vllm_command", None)):
        if flags[name] != default:
            raise SettingsError(f"--{name.replace('_', '-')} needs --serve MODEL, which starts a server.")
    if not flags["base_url"] and not sends:
        return (Endpoint(base_url=PLACEHOLDER_URL, model=flags["model"] or UNKNOWN_MODEL),)
    if not flags["base_url"]:
        variable = VARIABLES["base_url"]
        others = [name for name in os.environ if name.startswith("PERSQA_") and name != VARIABLES["model"]]
        similar = find_similar_name(variable, others)
        meant = "" if similar is None else f" ({similar} is set, which nothing reads)"
        raise SettingsError(
            f"--base-url: name an endpoint, set {variable}{meant}, or start a server with --serve MODEL."
        )
    try:
        endpoints = make_endpoints(
            flags["base_url"], flags["model"] or UNKNOWN_MODEL, read_credentials(flags), os.environ
        )
    except SettingsError as error:
        if flags["base_url"] != os.environ.get(VARIABLES["base_url"], "").split():
            raise
        raise SettingsError(str(error).replace("--base-url", VARIABLES["base_url"])) from error.__cause__
    return keep_local(endpoints) if flags["local_only"] else endpoints


def read_credentials(flags: Mapping[str, Any]) -> Credentials:
    return Credentials(
        flags["api_key_env"] or (),
        flags["api_key_command"] or (),
        flags["header"] or (),
        flags["ca_cert"],
        flags["client_cert"],
    )
