"""Where an endpoint is and what key it is given: judged by its address alone. Pure (the environment is passed in)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from persqa_client.errors import SettingsError

ROUTE = re.compile(r"(/chat)?/completions$")
HEADER_WORD = re.compile(r"[\x21-\x7e]+")
OPENAI_HOST = "api.openai.com"


def check_base_url(url: str) -> str:
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        # An IPv6 address without its bracket, a port that is no number.
        well_formed = False
    if not well_formed:
        raise ValueError("must look like http://HOST:PORT/v1")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; use --api-key-env instead")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? or #")
    if (root := ROUTE.sub("", url)) != url:
        raise ValueError(f"must be the root of the API, {root}, and not one of its routes")
    return url


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine; proxies from the environment are not asked for it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_key(base_url: str, key_env: str | None, environ: Mapping[str, str]) -> SecretStr | None:
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
        return read_key(key_env, environ)
    if host == OPENAI_HOST and environ.get("OPENAI_API_KEY", "").strip():
        return read_key("OPENAI_API_KEY", environ)
    return None


def read_key(name: str, environ: Mapping[str, str]) -> SecretStr:
    key = environ[name].strip()
    if not HEADER_WORD.fullmatch(key):
        raise SettingsError(
            f"The key in {name} has a space, a line break or a letter outside ASCII in it: set that variable anew."
        )
    return SecretStr(key)
