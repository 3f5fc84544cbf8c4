"""The addresses from which pictures may be downloaded (public ones, and those allowed by name), and the limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from persqa_client.addresses import find_embedded, is_public, parse_address, parse_host

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class FetchLimits:
    # Size of one picture.
    max_bytes: int = 50_000_000
    # Seconds of one attempt with all its redirects, and until the next bytes.
    timeout: float = 60.0
    read_timeout: float = 15.0
    attempts: int = 3
    redirects: int = 5
    # Connections to one host, and to all.
    per_host: int = 8
    connections: int = 128
    # Seconds before the second attempt, twice as many before the third, and at most.
    first_wait: float = 1.0
    longest_wait: float = 30.0


class RefusedAddress(Exception):
    """A host has no address that may be connected to."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(host, address)
        self.host = host
        self.address = address


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Hosts and networks that pictures may come from, although they are not public."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    # Whether they are the only ones, and only at addresses that are not public.
    local_only: bool = False

    @classmethod
    def parse(cls, texts: Sequence[str], *, local_only: bool = False) -> Self:
        """Names of hosts, addresses and networks such as 10.0.0.0/8. Raises ValueError."""
        names, networks = set[str](), list[Network]()
        for text in texts:
            host = text.strip()
            try:
                networks.append(ipaddress.ip_network(host.strip("[]"), strict=False))
                continue
            except ValueError:
                pass
            if not host or any(character in host for character in "/:@?# "):
                raise ValueError(f"{text!r} is not a host; give a name, an address or a network, such as 10.0.0.0/8")
            names.add(clean_host(host))
        return cls(frozenset(names), tuple(networks), local_only)

    def permit(self, host: str, address: str) -> bool:
        """Whether the host may be connected to at this address."""
        parsed = parse_address(address)
        if self.local_only and (parsed is None or is_public(parsed)):
            return False
        if clean_host(host) in self.names:
            return True
        if parsed is None:
            return False
        inner = find_embedded(parsed) if isinstance(parsed, ipaddress.IPv6Address) else None
        forms = [parsed] if inner is None else [parsed, inner]
        return is_public(parsed) or any(form in network for form in forms for network in self.networks)

    def check_literal(self, host: str) -> None:
        """Raises RefusedAddress for a host that is an address in any form, which may not be resolved."""
        address = parse_host(host)
        if address is not None and not self.permit(host, str(address)):
            raise RefusedAddress(host, host if parse_address(host) is not None else str(address))


def clean_host(host: str) -> str:
    return host.lower().rstrip(".")
