"""Resolve: the route's record and its service's record must be deployed, and the code be here."""

from gateway import statuses
from gateway.registry.table import Match, Table
from gateway.upstreams.python import Action, Actions
from gateway.values import Rejection


def resolve(match: Match, table: Table, actions: Actions) -> Action:
    """The function that does the route's work.

    Raises Rejection: route-not-found, service-not-found.
    """
    route = match.route
    if not route.deployed:
        raise Rejection(statuses.ROUTE_NOT_FOUND)
    service = table.services.get(route.service)
    action = actions.find(route.handler)
    if service is None or not service.deployed or action is None:
        raise Rejection(statuses.SERVICE_NOT_FOUND)
    return action
