"""Warnings about services of `kind: http`, from the environment that the command runs in."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.manifest.check import Desired
from gateway.registry import endpoints
from gateway.registry.http_record import DEFAULT_TIMEOUT, REFERENCE


def unset_secrets(desired: Iterable[Desired], environment: Mapping[str, str]) -> Iterator[str]:
    """The services whose calls cannot be signed here.

    The workers' environment may be another one; there the gateway raises a notification.
    """
    for name, service in _deployed(desired):
        variable = service["secret"].removeprefix(REFERENCE)
        if not environment.get(variable):
            yield (
                f"{name}: the variable {variable} of its secret is not set here; "
                "a worker without it answers service-unavailable"
            )


def plain_secrets(desired: Iterable[Desired]) -> Iterator[str]:
    """The routes whose sensitive params would leave this machine without TLS."""
    desired = list(desired)
    plain = {name for name, service in _deployed(desired) if _is_plain(service)}
    for state in desired:
        for name, route in state.routes.items():
            service = route.record["handler"].partition(".")[0]
            if route.record["sensitive_params"] and service in plain:
                yield f"{name}: its sensitive params go to {service} over http; use https"


def useless_retries(desired: Iterable[Desired]) -> Iterator[str]:
    """The routes that end before an attempt at their service does, so that no other follows.

    Only for time-outs that someone has written: the default one means no more than patience.
    """
    desired = list(desired)
    services = {
        name: service
        for name, service in _deployed(desired)
        if service["retries"] and service["timeout"] != DEFAULT_TIMEOUT
    }
    for state in desired:
        for name, route in state.routes.items():
            service = services.get(route.record["handler"].partition(".")[0])
            seconds = route.record["timeout"]
            if service and service["timeout"] > seconds:
                yield (
                    f"{name}: its timeout, {seconds:g} s, is shorter than that of its service, "
                    f"{service['timeout']:g} s; a call without an answer is not tried again"
                )


def _deployed(desired: Iterable[Desired]) -> Iterator[tuple[str, dict[str, Any]]]:
    for state in desired:
        for name, service in state.services.items():
            if service["kind"] == "http" and service["deployed"]:
                yield name, service


def _is_plain(service: dict[str, Any]) -> bool:
    parsed = map(endpoints.parse, service["endpoints"])
    return any(each.scheme == "http" and not _is_loopback(each.host) for each in parsed)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
