"""Resolve: the route's record and its service's record must be deployed, and the code be here."""

from gateway.registry.table import Match, Table
from gateway.upstreams.python import Action, Actions
from gateway.values import Reject


def resolve(match: Match, table: Table, actions: Actions) -> Action:
    """The function that does the route's work.

    Raises Reject: route-not-found, service-not-found.
    """
    route = match.route
    if not route.deployed:
        raise Reject("route-not-found")
    service = table.services.get(route.service)
    action = actions.find(route.handler)
    if service is None or not service.deployed or action is None:
        raise Reject("service-not-found")
    return action
