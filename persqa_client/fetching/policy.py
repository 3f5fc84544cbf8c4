"""From where pictures are downloaded, and within which limits: from public addresses, and those allowed by name."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IPv6 addresses with an IPv4 address in their last 32 bits: of NAT64 (RFC 6052), and the compatible ones of RFC 4291.
EMBEDDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
# NAT64 within a network (RFC 8215), where the place of the IPv4 address differs.
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
# Public by its number, but answered within Azure's networks: its agents read credentials there.
PLATFORM_ADDRESSES = frozenset({ipaddress.IPv4Address("168.63.129.16")})


@dataclass(frozen=True, slots=True)
class FetchLimits:
    # Of one picture.
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


def is_public(address: Address) -> bool:
    """Neither of this machine, nor of a private network, nor reserved. IPv4 addresses within IPv6 ones count, too."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = find_embedded(address)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address in LOCAL_NAT64:
            return False
    is_special = address.is_multicast or address.is_reserved or address in PLATFORM_ADDRESSES
    return address.is_global and not is_special


def find_embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def parse_address(host: str) -> Address | None:
    """None for a name. The zone of an IPv6 address does not count."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Hosts and networks that pictures may come from, although they are not public."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
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
        return cls(frozenset(names), tuple(networks))

    def permit(self, host: str, address: str) -> bool:
        """Whether the host may be connected to at this address."""
        if clean_host(host) in self.names:
            return True
        parsed = parse_address(address)
        if parsed is None:
            return False
        inner = find_embedded(parsed) if isinstance(parsed, ipaddress.IPv6Address) else None
        forms = [parsed] if inner is None else [parsed, inner]
        return is_public(parsed) or any(form in network for form in forms for network in self.networks)

    def check_literal(self, host: str) -> None:
        """Raises RefusedAddress for a host that is an address, which is connected to without being resolved."""
        if parse_address(host) is not None and not self.permit(host, host):
            raise RefusedAddress(host, host)


def clean_host(host: str) -> str:
    return host.lower().rstrip(".")
