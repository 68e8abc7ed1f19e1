"""Match: find the route of a method and path."""

from gateway import statuses
from gateway.registry.table import Match, Table
from gateway.values import Rejection, Request


def match(request: Request, table: Table) -> Match:
    """The route of the request and its path params; HEAD matches as GET.

    Raises Rejection: route-non-existent.
    """
    method = "GET" if request.method == "HEAD" else request.method
    matched = table.find(method, request.path)
    if matched is None:
        raise Rejection(statuses.ROUTE_NON_EXISTENT)
    return matched
