"""The client's address behind trusted and untrusted proxies."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.addresses import Proxies, client_network

TRUSTED = Proxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
PUBLIC = "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.9", PUBLIC),
        # An address forged by the client stands left of the one that the first proxy appended.
        ("10.0.0.1", b"1.2.3.4, 203.0.113.9", PUBLIC),
        ("10.0.0.1", b"1.2.3.4, 203.0.113.9, 10.9.9.9", PUBLIC),
        ("10.0.0.1", b"10.1.1.1,10.2.2.2", "10.1.1.1"),
        (PUBLIC, b"1.2.3.4", PUBLIC),
        ("10.0.0.1", b"203.0.113.9:4711", PUBLIC),
        ("fd00::1", b"[2001:db8::7]:4711", "2001:db8::7"),
        ("fd00::1", b"2001:db8::7", "2001:db8::7"),
        # Addresses left of an invalid one cannot be trusted.
        ("10.0.0.1", b"1.2.3.4, unknown", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4, unknown, 10.3.3.3", "10.3.3.3"),
        ("10.0.0.1", b", ,", "10.0.0.1"),
        ("unknown", b"1.2.3.4", "unknown"),
    ],
)
def test_client_address_is_the_last_that_no_trusted_proxy_has(
    peer: str, forwarded: bytes, expected: str
) -> None:
    assert TRUSTED.client_address(peer, forwarded) == expected


def test_client_address_without_trusted_proxies_is_the_peer() -> None:
    assert Proxies([]).client_address("127.0.0.1", b"1.2.3.4") == "127.0.0.1"


@given(st.binary(max_size=100))
def test_client_address_is_valid_whatever_the_header_says(forwarded: bytes) -> None:
    assert str(ip_address(TRUSTED.client_address("10.0.0.1", forwarded)))


def test_client_network_is_one_for_all_ipv6_addresses_of_a_host() -> None:
    assert client_network(PUBLIC) == PUBLIC
    assert (
        client_network("2001:db8:1:2::1")
        == client_network("2001:db8:1:2:ffff::9")
        == "2001:db8:1:2::/64"
    )
    assert client_network("2001:db8:1:3::1") != client_network("2001:db8:1:2::1")
    assert client_network("unknown") == "unknown"
