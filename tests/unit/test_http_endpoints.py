"""Endpoints of http services: which URLs are taken, and which addresses are refused."""

import ipaddress

import pytest

from gateway.registry.endpoints import (
    Endpoint,
    EndpointError,
    authority,
    parse,
    why_refused,
    written,
)


@pytest.mark.parametrize(
    ("url", "endpoint", "host"),
    [
        ("http://10.0.0.5:9000", ("http", "10.0.0.5", 9000, ""), "10.0.0.5:9000"),
        ("https://tours.example", ("https", "tours.example", 443, ""), "tours.example"),
        ("http://tours:80", ("http", "tours", 80, ""), "tours"),
        ("http://tours/api/v2", ("http", "tours", 80, "/api/v2"), "tours"),
        ("http://127.0.0.1:9", ("http", "127.0.0.1", 9, ""), "127.0.0.1:9"),
        ("http://[::1]:9000/a", ("http", "::1", 9000, "/a"), "[::1]:9000"),
        (
            "http://my_host-1.svc.cluster.local:1",
            ("http", "my_host-1.svc.cluster.local", 1, ""),
            "",
        ),
    ],
)
def test_endpoint_has_its_parts(url: str, endpoint: tuple[object, ...], host: str) -> None:
    parsed = parse(url)
    assert parsed == Endpoint(*endpoint)  # type: ignore[arg-type]
    assert not host or authority(parsed) == host
    assert url in {written(parsed), written(parsed, with_port=True)}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must be a URL"),
        ("tours:9000", "must be a URL"),
        ("ftp://tours", "with http or https"),
        ("http://", "must be a URL"),
        ("http://[::1", "must be a URL"),
        ("http://tours:99999", "must have a port from 1 to 65535, or none"),
        ("http://tours:0", "must have a port"),
        ("http://tours:nine", "must have a port"),
        ("http://me:pw@tours", "must not contain a user"),
        ("http://tours?x=1", "must end before ?"),
        ("http://tours#x", "must end before ?"),
        ("http://tours?", "must end before ?"),
        ("http://tours/", "must not end with a slash"),
        ("http://tours//a", "must have a path without empty segments"),
        ("http://tours/a/../b", "must have a path without empty segments"),
        ("http://tours/a b", "must have a path without empty segments"),
        ("HTTP://tours", "must be written as http://tours"),
        ("http://Tours:9", "must be written as http://tours:9"),
        ("http://tours:09", "must be written as http://tours:9"),
        ("http://to urs", "must have a host name"),
        ("http://tours.", "must have a host name"),
        ("http://-tours", "must have a host name"),
        ("http://töurs", "must have a host name"),
        ("http://2852039166", "must have a host name"),
        ("http://0xa9fea9fe", "must have a host name"),
        ("http://169.254.43518", "must have a host name"),
        ("http://0x7f.1", "must have a host name"),
        ("http://169.254.169.254", "must not have the link-local address 169.254.169.254"),
        ("http://[fe80::1]:9000", "must not have the link-local address fe80::1"),
        ("http://[::ffff:169.254.169.254]", "must not have the link-local address"),
        ("http://[64:ff9b::a9fe:a9fe]", "must not have the link-local address"),
        ("http://[2002:a9fe:a9fe::]", "must not have the link-local address"),
        ("http://[fd00:ec2::254]", "must not have the address of a cloud's metadata service"),
        ("http://100.100.100.200", "must not have the address of a cloud's metadata service"),
        ("http://168.63.129.16", "must not have the address of a cloud's metadata service"),
        ("http://metadata.google.internal", "must not name a cloud's metadata service"),
        ("http://0.0.0.0:9000", "must not have the unspecified address"),
        ("http://[::]:9000", "must not have the unspecified address"),
        ("http://224.0.0.1", "must not have the multicast address"),
    ],
)
def test_endpoint_that_cannot_be_called_is_refused_with_its_reason(url: str, message: str) -> None:
    with pytest.raises(EndpointError, match="must") as caught:
        parse(url)
    assert message in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.5", "192.168.1.1", "8.8.8.8"])
def test_addresses_of_this_machine_and_of_private_networks_are_allowed(address: str) -> None:
    assert why_refused(ipaddress.ip_address(address)) == ""
