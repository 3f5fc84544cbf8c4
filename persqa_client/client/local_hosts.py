"""Endpoints of this machine and of private networks alone (``--local-only``).

The address that is checked is the one that is connected to. Redirects are never followed. ``LocalResolver`` chooses
among the addresses of a name. aiohttp resolves no host that looks like an address, and its versions differ in what
does, so ``open_local_socket`` checks each address again, in the form that the system gets.
"""

from __future__ import annotations

import socket
from typing import Any

import httpx2
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from persqa_client.addresses import is_public, parse_host
from persqa_client.config import Endpoint
from persqa_client.errors import SettingsError


class LocalResolver(AbstractResolver):
    """Resolves names to their addresses that are not public."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        """``resolver``: by default, that of the system."""
        # Made with the first name: it needs a running event loop.
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises SettingsError if all addresses are public, and OSError like the resolver."""
        self._resolver = self._resolver or ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        local = [each for each in found if is_local(each["host"])]
        if found and not local:
            raise outside_error(host, found[0]["host"])
        return local

    async def close(self) -> None:
        if self._resolver is not None:
            await self._resolver.close()


def is_local(address: str) -> bool:
    parsed = parse_host(address)
    return parsed is not None and not is_public(parsed)


def open_local_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for a connection to this address, as getaddrinfo returns it. Raises SettingsError if it is public."""
    family, kind, protocol, _, (host, *_) = address
    if not is_local(host):
        raise outside_error(host, host)
    return socket.socket(family, kind, protocol)


def check_local_url(url: str) -> None:
    """Raises SettingsError for a host that is a public address. Names are checked when they are connected to."""
    host = find_host(url)
    if (address := parse_host(host)) is not None and is_public(address):
        raise outside_error(host, str(address))


def find_host(url: str) -> str:
    """The host as aiohttp gets it; empty if there is none."""
    try:
        return URL(str(httpx2.URL(url)), encoded=True).raw_host or ""
    except (httpx2.InvalidURL, ValueError):
        return ""


def outside_error(host: str, address: str) -> SettingsError:
    place = host if host == address else f"{host} ({address})"
    return SettingsError(f"--local-only: the endpoint {place} is not in a private network. Nothing was sent to it.")


def find_resolver(endpoint: Endpoint, proxy: httpx2.Proxy | None) -> LocalResolver | None:
    """None for an endpoint that may be anywhere. Raises SettingsError, also for a proxy, which chooses the address."""
    if not endpoint.local_only:
        return None
    check_local_url(endpoint.base_url)
    if proxy is not None:
        raise SettingsError(
            f"--local-only: the environment names a proxy for {endpoint.base_url}, which could lead anywhere; add the "
            "host to NO_PROXY."
        )
    return LocalResolver()
