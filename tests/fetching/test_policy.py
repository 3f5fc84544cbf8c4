"""From which addresses pictures are downloaded."""

from __future__ import annotations

import pytest

from persqa_client.addresses import is_public, parse_address
from persqa_client.fetching.policy import AllowedHosts, RefusedAddress

NOT_PUBLIC = (
    *("127.0.0.1", "10.1.1.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.1.1", "0.0.0.0"),
    *("198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::1", "::", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "2002:7f00:1::"),
)
PUBLIC = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::")


@pytest.mark.parametrize("text", [*NOT_PUBLIC, *PUBLIC])
def test_only_public_addresses_are_connected_to(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert is_public(address) == (text in PUBLIC)


def test_hosts_are_allowed_by_name_address_and_network() -> None:
    allowed = AllowedHosts.parse(["Pictures.LAN", "10.0.0.0/8", "::1"])
    assert allowed.permit("pictures.lan.", "192.168.0.9")
    assert allowed.permit("other.lan", "10.2.3.4")
    assert allowed.permit("other.lan", "::ffff:10.2.3.4")
    assert not allowed.permit("other.lan", "192.168.0.9")
    assert not allowed.permit("a.pictures.lan", "192.168.0.9")
    allowed.check_literal("[::1]")
    allowed.check_literal("other.lan")
    with pytest.raises(RefusedAddress):
        allowed.check_literal("127.0.0.1")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1.", "0"])
def test_other_forms_of_an_address_are_the_address(host: str) -> None:
    with pytest.raises(RefusedAddress, match=r"127\.0\.0\.1|0\.0\.0\.0"):
        AllowedHosts().check_literal(host)
    AllowedHosts.parse(["127.0.0.0/8", "0.0.0.0"]).check_literal(host)
    AllowedHosts().check_literal("7f000001.example")


@pytest.mark.parametrize("text", ["", "https://a.example", "a.example:80", "me@a.example", "a.example/x"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        AllowedHosts.parse([text])
