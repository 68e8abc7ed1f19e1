"""The PROXY protocol: headers of both versions, byte by byte."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.proxy_protocol import (
    MAX_SIZE,
    MAX_TEXT,
    SIGNATURE,
    Header,
    MalformedError,
    read,
)

CLIENT, CLIENT6 = "203.0.113.7", "2001:db8::7"
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED, TCP4, UDP4, TCP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x31
PORTS = struct.pack("!HH", 40000, 443)
REST = b"GET / HTTP/1.1\r\n"


def packed(*addresses: str) -> bytes:
    return b"".join(ipaddress.ip_address(address).packed for address in addresses) + PORTS


V4, V6 = packed(CLIENT, "10.0.0.1"), packed(CLIENT6, "fd00::1")
TLV = b"\x04\x00\x10" + bytes(16)


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


VALID = {
    "TCP4": (b"PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n", CLIENT),
    "TCP6": (b"PROXY TCP6 2001:db8::7 fd00::1 40000 443\r\n", CLIENT6),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "UNKNOWN with more": (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", None),
    "binary IPv4": (binary(PROXY, TCP4, V4), CLIENT),
    "binary IPv6": (binary(PROXY, TCP6, V6), CLIENT6),
    "binary with fields": (binary(PROXY, TCP4, V4 + TLV), CLIENT),
    "binary mapped": (
        binary(PROXY, TCP6, packed("::ffff:203.0.113.7", "::1")),
        CLIENT,
    ),
    "binary local": (binary(LOCAL, TCP4, V4), None),
    "binary local without addresses": (binary(LOCAL, UNSPECIFIED, b""), None),
    "binary unspecified": (binary(PROXY, UNSPECIFIED, TLV), None),
    "binary datagram": (binary(PROXY, UDP4, V4), None),
    "binary socket file": (binary(PROXY, UNIX, bytes(216)), None),
    "binary of the greatest size": (binary(PROXY, TCP4, V4 + bytes(MAX_SIZE - 28)), CLIENT),
}
MALFORMED = {
    "plain HTTP": REST,
    "another word": b"PROXX TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
    "no family": b"PROXY \r\n",
    "another family": b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
    "an address of another family": b"PROXY TCP4 2001:db8::7 2.2.2.2 1 2\r\n",
    "no address": b"PROXY TCP4 x 2.2.2.2 1 2\r\n",
    "two spaces": b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
    "no port": b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
    "a port that is too large": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
    "a negative port": b"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%\xb2 fd00::1 1 2 3\r\n",
    "no line end": b"PROXY TCP4 " + b"1" * MAX_TEXT,
    "binary version 1": binary(0x11, TCP4, V4),
    "binary unknown command": binary(0x22, TCP4, V4),
    "binary unknown family": binary(PROXY, 0x41, V4),
    "binary unknown transport": binary(PROXY, 0x13, V4),
    "binary too short": binary(PROXY, TCP4, V4[:-1]),
    "binary too short for IPv6": binary(PROXY, TCP6, V4),
    "binary too large": binary(PROXY, TCP4, V4 + bytes(MAX_SIZE)),
}


@pytest.mark.parametrize(("data", "source"), VALID.values(), ids=VALID)
def test_proxy_header_names_the_client_and_ends_where_the_request_begins(
    data: bytes, source: str | None
) -> None:
    assert read(data + REST) == Header(source, len(data))
    assert read(data) == Header(source, len(data))


@pytest.mark.parametrize(("data", "_source"), VALID.values(), ids=VALID)
def test_proxy_header_that_is_incomplete_is_waited_for(data: bytes, _source: str | None) -> None:
    assert {read(data[:size]) for size in range(len(data))} == {None}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_proxy_header_that_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read(data)


def test_proxy_header_without_its_signature_is_refused_at_the_first_byte() -> None:
    with pytest.raises(MalformedError):
        read(b"G")


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21"]), st.binary()
)
def test_proxy_header_of_any_bytes_is_a_header_or_refused(begin: bytes, rest: bytes) -> None:
    try:
        header = read(begin + rest)
    except MalformedError:
        return
    assert header is None or header.size <= len(begin + rest)
