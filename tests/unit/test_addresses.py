"""Who calls, behind proxies that are trusted and behind those that are not."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.addresses import Proxies, client_network

TRUSTED = Proxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
PUBLIC = "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.9", PUBLIC),
        # What the caller wrote itself stands left of what the first trusted proxy saw.
        ("10.0.0.1", b"1.2.3.4, 203.0.113.9", PUBLIC),
        ("10.0.0.1", b"1.2.3.4, 203.0.113.9, 10.9.9.9", PUBLIC),
        ("10.0.0.1", b"10.1.1.1,10.2.2.2", "10.1.1.1"),
        (PUBLIC, b"1.2.3.4", PUBLIC),
        ("10.0.0.1", b"203.0.113.9:4711", PUBLIC),
        ("fd00::1", b"[2001:db8::7]:4711", "2001:db8::7"),
        ("fd00::1", b"2001:db8::7", "2001:db8::7"),
        # Nobody knows what stands left of a word that is no address.
        ("10.0.0.1", b"1.2.3.4, unknown", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4, unknown, 10.3.3.3", "10.3.3.3"),
        ("10.0.0.1", b", ,", "10.0.0.1"),
        ("unknown", b"1.2.3.4", "unknown"),
    ],
)
def test_the_caller_is_the_last_whom_no_trusted_proxy_is(
    peer: str, forwarded: bytes, caller: str
) -> None:
    assert TRUSTED.caller(peer, forwarded) == caller


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert Proxies([]).caller("127.0.0.1", b"1.2.3.4") == "127.0.0.1"


@given(st.binary(max_size=100))
def test_whatever_is_written_there_the_caller_is_an_address(forwarded: bytes) -> None:
    assert str(ip_address(TRUSTED.caller("10.0.0.1", forwarded)))


def test_a_host_is_one_place_whatever_addresses_of_its_network_it_takes() -> None:
    assert client_network(PUBLIC) == PUBLIC
    assert (
        client_network("2001:db8:1:2::1")
        == client_network("2001:db8:1:2:ffff::9")
        == "2001:db8:1:2::/64"
    )
    assert client_network("2001:db8:1:3::1") != client_network("2001:db8:1:2::1")
    assert client_network("unknown") == "unknown"
