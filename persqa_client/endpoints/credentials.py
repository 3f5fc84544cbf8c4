"""Endpoints of a run and their API keys. A key is sent only to its own host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

from persqa_client.config import Endpoint, build_settings, check_base_url, is_loopback
from persqa_client.errors import SettingsError

HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPENAI_HOST = "api.openai.com"
NO_KEY = "-"  # instead of a variable name: no key
# Placeholder for a URL that is not known yet; nothing is sent to it.
PLACEHOLDER_URL = "http://127.0.0.1/v1"


def make_endpoints(
    base_urls: Sequence[str], model: str, key_envs: Sequence[str], environ: Mapping[str, str]
) -> tuple[Endpoint, ...]:
    """Raises SettingsError for an invalid URL or key, and for keys that cannot be assigned to endpoints."""
    if not base_urls:
        raise SettingsError("--base-url: name at least one endpoint, or start a server with --serve MODEL.")
    names = assign_key_variables(base_urls, key_envs)
    return tuple(
        build_settings(
            Endpoint, base_url=url, model=model, api_key=None if name == NO_KEY else find_api_key(url, name, environ)
        )
        for url, name in zip(base_urls, names, strict=True)
    )


def assign_key_variables(base_urls: Sequence[str], key_envs: Sequence[str]) -> list[str | None]:
    if not key_envs:
        return [None] * len(base_urls)
    if len(key_envs) == len(base_urls):
        return list(key_envs)
    hosts = {_host(url) for url in base_urls}
    if len(key_envs) == 1 and len(hosts) == 1:
        return [key_envs[0]] * len(base_urls)
    problem = f"is given {len(key_envs)} times for {len(base_urls)} --base-url"
    if len(key_envs) == 1:
        problem = f"is given once, but the endpoints are on {len(hosts)} hosts, and a key is sent to its own host only"
    raise SettingsError(
        f"--api-key-env {problem}. Name a variable for each --base-url, in the same order, "
        f"and {NO_KEY} for an endpoint without a key."
    )


def _host(url: str) -> str:
    """All loopback addresses count as one host."""
    try:
        return "loopback" if is_loopback(url) else urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""  # invalid URLs are reported by make_endpoints


def find_api_key(base_url: str, key_env: str | None, environ: Mapping[str, str]) -> SecretStr | None:
    """Without ``key_env``: OPENAI_API_KEY for OpenAI's host, else None. Raises SettingsError."""
    try:
        host = urlsplit(check_base_url(base_url)).hostname
    except ValueError as error:
        raise SettingsError(f"--base-url: {error}.") from error
    if key_env is not None:
        if not VARIABLE_NAME.fullmatch(key_env):
            # It may be the key itself, which is not printed.
            raise SettingsError("--api-key-env takes the name of an environment variable, not the key itself.")
        if not environ.get(key_env, "").strip():
            raise SettingsError(f"--api-key-env names {key_env}, but that variable is not set or is empty.")
        return read_api_key(key_env, environ)
    if host == OPENAI_HOST and environ.get("OPENAI_API_KEY", "").strip():
        return read_api_key("OPENAI_API_KEY", environ)
    return None


def read_api_key(name: str, environ: Mapping[str, str]) -> SecretStr:
    """Raises SettingsError if a header cannot contain the value."""
    key = environ[name].strip()
    if not HEADER_VALUE.fullmatch(key):
        raise SettingsError(
            f"The key in {name} contains a space, a line break or a non-ASCII character. Set the variable again."
        )
    return SecretStr(key)
