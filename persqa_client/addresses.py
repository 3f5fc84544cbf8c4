"""Addresses of hosts: which are public, and which belong to this machine or a private network."""

from __future__ import annotations

import ipaddress
import re
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 addresses with an IPv4 address in their last 32 bits: of NAT64 (RFC 6052), and the compatible ones of RFC 4291.
EMBEDDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
# NAT64 within a network (RFC 8215), where the place of the IPv4 address differs.
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
# Public by its number, but answered within Azure's networks: its agents read credentials there.
PLATFORM_ADDRESSES = frozenset({ipaddress.IPv4Address("168.63.129.16")})
# Of an IPv4 address in the forms that systems also read: 127.1, 2130706433, 0x7f.0.0.1, 0177.0.0.1.
NUMBERS = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}", re.IGNORECASE | re.ASCII)


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
    address, _, zone = host.strip("[]").partition("%")
    if zone and ":" not in address:
        return None
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def parse_host(host: str) -> Address | None:
    """Like ``parse_address``, also for the other forms of IPv4 addresses, which no name server is asked for."""
    address = parse_address(host)
    if address is None and NUMBERS.fullmatch(host.rstrip(".")):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
        except OSError:
            return None
    return address
