"""The client's address behind trusted and untrusted proxies."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import addresses
from gateway.edge.addresses import Proxies, client_network

TRUSTED = Proxies(
    [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("::ffff:172.16.0.0/112")]
)
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
        # A socket that listens on `::` has IPv4 peers by their mapped address.
        ("::ffff:10.0.0.1", b"203.0.113.9", PUBLIC),
        ("::ffff:10.0.0.1", b"::ffff:203.0.113.9, ::ffff:a01:101", PUBLIC),
        ("::ffff:203.0.113.9", b"1.2.3.4", PUBLIC),
        ("::ffff:172.16.1.1", b"1.2.3.4", "1.2.3.4"),
        ("::ffff:172.17.1.1", b"1.2.3.4", "172.17.1.1"),
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


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("::ffff:127.0.0.2", "127.0.0.2"),
        ("::ffff:7f00:2", "127.0.0.2"),
        ("::ffff:0:0:1", "::ffff:0:0:1"),
        ("::ffff:x", "::ffff:x"),
        ("::1", "::1"),
        ("127.0.0.2", "127.0.0.2"),
        ("unknown", "unknown"),
    ],
)
def test_address_of_a_mapped_ipv4_peer_is_ipv4(address: str, shown: str) -> None:
    assert addresses.plain(address) == shown


def test_client_network_of_mapped_ipv4_peers_is_their_address() -> None:
    assert client_network("::ffff:127.0.0.2") == "127.0.0.2"
    assert client_network("::ffff:127.0.0.3") == "127.0.0.3"


def test_client_network_is_one_for_all_ipv6_addresses_of_a_host() -> None:
    assert client_network(PUBLIC) == PUBLIC
    assert (
        client_network("2001:db8:1:2::1")
        == client_network("2001:db8:1:2:ffff::9")
        == "2001:db8:1:2::/64"
    )
    assert client_network("2001:db8:1:3::1") != client_network("2001:db8:1:2::1")
    assert client_network("unknown") == "unknown"
