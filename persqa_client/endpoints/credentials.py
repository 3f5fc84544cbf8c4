"""Which endpoints a run has, and which key goes to which of them. Pure (the environment is passed in)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

from persqa_client.config import Endpoint, build_settings, check_base_url, is_loopback
from persqa_client.errors import SettingsError

HEADER_WORD = re.compile(r"[\x21-\x7e]+")
OPENAI_HOST = "api.openai.com"
NO_KEY = "-"
"""In place of a variable's name: this endpoint gets no key."""
PLACEHOLDER_URL = "http://127.0.0.1/v1"
"""In place of an address that is not known yet, or that somebody else knows alone; nothing is sent there."""


def make_endpoints(
    base_urls: Sequence[str], model: str, key_envs: Sequence[str], environ: Mapping[str, str]
) -> tuple[Endpoint, ...]:
    """Endpoints of one model, each with its own key or none.

    Raises SettingsError where none is given, where it is not clear whose a key is, and where ``find_api_key`` does.
    """
    if not base_urls:
        raise SettingsError("--base-url: name at least one endpoint, or have one started by --serve MODEL.")
    names = pair(base_urls, key_envs)
    return tuple(
        build_settings(
            Endpoint, base_url=url, model=model, api_key=None if name == NO_KEY else find_api_key(url, name, environ)
        )
        for url, name in zip(base_urls, names, strict=True)
    )


def pair(base_urls: Sequence[str], key_envs: Sequence[str]) -> list[str | None]:
    """For each endpoint the variable that holds its key, or None where none was named.

    One variable for several endpoints is taken only where they are on one host: a key goes only where it belongs, and
    a second host need not be its owner's.
    """
    if not key_envs:
        return [None] * len(base_urls)
    if len(key_envs) == len(base_urls):
        return list(key_envs)
    if len(key_envs) == 1 and len(hosts := {host_of(url) for url in base_urls}) == 1:
        return [key_envs[0]] * len(base_urls)
    if len(key_envs) == 1:
        raise SettingsError(
            f"--api-key-env is given once, but the endpoints are on {len(hosts)} hosts, and a key goes only where it "
            f"belongs: name a variable for each --base-url, in the same order ({NO_KEY} for one without a key)."
        )
    raise SettingsError(
        f"--api-key-env is given {len(key_envs)} times for {len(base_urls)} --base-url: name one for each, in the same "
        f"order ({NO_KEY} for one without a key)."
    )


def host_of(url: str) -> str:
    """The host without its port; this machine has one name, whatever it is called."""
    try:
        return "this machine" if is_loopback(url) else urlsplit(url.strip()).hostname or ""
    except ValueError:
        # No URL at all, which is told when the endpoint is made.
        return ""


def find_api_key(base_url: str, key_env: str | None, environ: Mapping[str, str]) -> SecretStr | None:
    """The key for this host: the named variable's, else OPENAI_API_KEY for OpenAI's own host alone, else none.

    Raises SettingsError where a variable is named but empty or not there, where what it holds can't stand in a header,
    or where the URL is none.
    """
    try:
        host = urlsplit(check_base_url(base_url)).hostname
    except ValueError as error:
        raise SettingsError(f"--base-url: {error}.") from error
    if key_env is not None:
        if not environ.get(key_env, "").strip():
            raise SettingsError(f"--api-key-env names {key_env}, but that variable is not set or is empty.")
        return read_api_key(key_env, environ)
    if host == OPENAI_HOST and environ.get("OPENAI_API_KEY", "").strip():
        return read_api_key("OPENAI_API_KEY", environ)
    return None


def read_api_key(name: str, environ: Mapping[str, str]) -> SecretStr:
    key = environ[name].strip()
    if not HEADER_WORD.fullmatch(key):
        raise SettingsError(
            f"The key in {name} has a space, a line break or a letter outside ASCII in it: set that variable anew."
        )
    return SecretStr(key)
