"""Endpoints of a run and their credentials, which are sent only to their own host."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from persqa_client.client.aiohttp_transport import make_tls_context
from persqa_client.client.authentication import run_key_command
from persqa_client.client.local_hosts import check_local_url
from persqa_client.config import Endpoint, build_settings
from persqa_client.errors import SettingsError
from persqa_client.keys import may_be_key
from persqa_client.urls import is_loopback, parse_base_url
from persqa_client.validation import HEADER_VALUE

KEY = re.compile(r"[\x21-\x7e]+")
UNSET = "but that variable is not set or is empty: export it, and try again."
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPENAI_HOST = "api.openai.com"
NONE = "-"  # in place of a variable name or a command: this endpoint has none
# Placeholder for a URL that is not known yet; nothing is sent to it.
PLACEHOLDER_URL = "http://127.0.0.1/v1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The flags with credentials, as given. A flag is given once for each ``--base-url``, in their order."""

    key_envs: Sequence[str] = ()
    key_commands: Sequence[str] = ()
    headers: Sequence[str] = ()  # NAME=@VARIABLE; each name counts as a separate flag
    ca_cert: Path | None = None
    client_cert: str | None = None  # FILE or FILE:KEY

    def __bool__(self) -> bool:
        return any((self.key_envs, self.key_commands, self.headers, self.ca_cert, self.client_cert))


def make_endpoints(
    base_urls: Sequence[str], model: str, credentials: Credentials, environ: Mapping[str, str]
) -> tuple[Endpoint, ...]:
    """Raises SettingsError for an invalid URL or key, and for credentials that cannot be assigned to endpoints."""
    if not base_urls:
        raise SettingsError("--base-url: name at least one endpoint, or start a server with --serve MODEL.")
    names = assign_to_endpoints("--api-key-env", base_urls, credentials.key_envs)
    commands = assign_to_endpoints("--api-key-command", base_urls, credentials.key_commands)
    headers = assign_headers(base_urls, credentials.headers, environ)
    certificate, key = split_client_cert(credentials.client_cert)
    endpoints = tuple(
        build_settings(
            Endpoint,
            base_url=url,
            model=model,
            api_key=make_key(url, name, command, own, environ),
            api_key_command=None if command == NONE else command,
            headers=own,
            ca_cert=credentials.ca_cert,
            client_cert=certificate,
            client_key=key,
        )
        for url, name, command, own in zip(base_urls, names, commands, headers, strict=True)
    )
    if credentials.ca_cert or credentials.client_cert:
        make_tls_context(endpoints[0])  # reports an invalid file, also before a dry run
    return endpoints


def keep_local(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints, restricted to private networks. Raises SettingsError for one that is a public address."""
    for endpoint in endpoints:
        check_local_url(endpoint.base_url)
    return tuple(endpoint.model_copy(update={"local_only": True}) for endpoint in endpoints)


def make_key(
    url: str, key_env: str | None, command: str | None, headers: Mapping[str, SecretStr], environ: Mapping[str, str]
) -> SecretStr | None:
    """The key from the variable or the command. A header with an authorization replaces OPENAI_API_KEY."""
    base_url = read_base_url(url)
    own = [source for source in (key_env, command) if source not in (None, NONE)]
    if "authorization" in headers:
        own.append("authorization")
    if len(own) > 1:
        raise SettingsError(
            f"{base_url} has several keys: give --api-key-env, --api-key-command or --header authorization, and {NONE} "
            "for the others."
        )
    if command is not None and command != NONE:
        return SecretStr(run_key_command(command))
    return None if key_env == NONE or "authorization" in headers else find_api_key(base_url, key_env, environ)


def read_base_url(url: str) -> str:
    """The root of the API. An invalid URL may contain a password, so it is not part of the SettingsError."""
    try:
        return parse_base_url(url)[0]
    except ValueError as error:
        raise SettingsError(f"--base-url: {error}.") from None


def assign_to_endpoints(flag: str, base_urls: Sequence[str], values: Sequence[str]) -> list[str | None]:
    """One value for each endpoint. A single value is for all endpoints if they are on one host."""
    if not values:
        return [None] * len(base_urls)
    if len(values) == len(base_urls):
        return list(values)
    hosts = {_host(url) for url in base_urls}
    if len(values) == 1 and len(hosts) == 1:
        return [values[0]] * len(base_urls)
    problem = f"is given {len(values)} times for {len(base_urls)} --base-url"
    if len(values) == 1:
        problem = f"is given once, but the endpoints are on {len(hosts)} hosts, and it is sent to its own host only"
    raise SettingsError(
        f"{flag} {problem}. Give it for each --base-url, in the same order, with {NONE} for an endpoint without it."
    )


def assign_headers(
    base_urls: Sequence[str], headers: Sequence[str], environ: Mapping[str, str]
) -> list[dict[str, SecretStr]]:
    sources: dict[str, list[str]] = {}
    for header in headers:
        name, separator, source = header.partition("=")
        if not (name.strip() and separator and (source == NONE or source.startswith("@"))):
            # It may contain the value, which is not printed.
            raise SettingsError(
                "--header takes NAME=@VARIABLE, with the value in that environment variable, because other users of "
                "the machine can read a command line."
            )
        if may_be_key(name.strip()):
            raise SettingsError("--header takes NAME=@VARIABLE, where NAME is the name of a header, not a key.")
        sources.setdefault(name.strip().lower(), []).append(source)
    assigned: list[dict[str, SecretStr]] = [{} for _ in base_urls]
    for name, values in sources.items():
        for own, value in zip(assigned, assign_to_endpoints(f"--header {name}", base_urls, values), strict=True):
            if value is not None and value != NONE:
                own[name] = read_header(name, value.removeprefix("@"), environ)
    return assigned


def read_header(name: str, variable: str, environ: Mapping[str, str]) -> SecretStr:
    value = environ.get(variable, "").strip()
    if not VARIABLE_NAME.fullmatch(variable) or (not value and may_be_key(variable)):
        raise SettingsError(f"--header {name}=@… takes the name of an environment variable, not the value itself.")
    if not value:
        raise SettingsError(f"--header {name} names {variable}, {UNSET}")
    if not HEADER_VALUE.fullmatch(value):
        raise SettingsError(f"The value in {variable} contains a line break or a non-ASCII character.")
    return SecretStr(value)


def split_client_cert(given: str | None) -> tuple[Path | None, Path | None]:
    """FILE or FILE:KEY. The name of an existing file may contain a colon."""
    if given is None:
        return None, None
    if not given.strip():
        raise SettingsError("--client-cert: must not be empty; name a PEM file.")
    certificate, separator, key = given.rpartition(":")
    if os.path.exists(given) or not (separator and certificate and key):
        return Path(given), None
    return Path(certificate), Path(key)


def _host(url: str) -> str:
    """All loopback addresses count as one host."""
    try:
        return "loopback" if is_loopback(url) else urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""  # invalid URLs are reported by make_endpoints


def find_api_key(base_url: str, key_env: str | None, environ: Mapping[str, str]) -> SecretStr | None:
    """The key in ``key_env``; if that is missing, OPENAI_API_KEY for OpenAI's host, else None. Raises SettingsError."""
    host = urlsplit(read_base_url(base_url)).hostname
    if key_env is not None:
        is_set = bool(environ.get(key_env, "").strip())
        if not VARIABLE_NAME.fullmatch(key_env) or (not is_set and may_be_key(key_env)):
            # It may be the key itself, which is not printed.
            raise SettingsError("--api-key-env takes the name of an environment variable, not the key itself.")
        if not is_set:
            raise SettingsError(f"--api-key-env names {key_env}, {UNSET}")
        return read_api_key(key_env, environ)
    if host == OPENAI_HOST and environ.get("OPENAI_API_KEY", "").strip():
        return read_api_key("OPENAI_API_KEY", environ)
    return None


def read_api_key(name: str, environ: Mapping[str, str]) -> SecretStr:
    """Raises SettingsError if a header cannot contain the value."""
    key = environ[name].strip()
    if not KEY.fullmatch(key):
        raise SettingsError(
            f"The key in {name} contains a space, a line break or a non-ASCII character. Set the variable again."
        )
    return SecretStr(key)
