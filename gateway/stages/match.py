"""Match: method and path to a route of the table."""

from gateway import statuses
from gateway.registry.table import Match, Table
from gateway.values import Rejection, Request


def match(request: Request, table: Table) -> Match:
    """The route that is to answer; HEAD is GET without its body.

    Raises Rejection: route-non-existent.
    """
    method = "GET" if request.method == "HEAD" else request.method
    found = table.find(method, request.path)
    if found is None:
        raise Rejection(statuses.ROUTE_NON_EXISTENT)
    return found
