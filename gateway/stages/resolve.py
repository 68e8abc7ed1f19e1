"""Resolve: the route and its service must be deployed, and this worker must have the code."""

from collections.abc import Mapping

from gateway import statuses
from gateway.registry.table import Match
from gateway.upstreams.action import Action
from gateway.values import Rejection


def resolve(match: Match, actions: Mapping[str, Action]) -> Action:
    """The action of a route. Raises Rejection: route-not-found, service-not-found."""
    route = match.route
    if not route.deployed:
        raise Rejection(statuses.ROUTE_NOT_FOUND)
    service = match.table.services.get(route.service)
    action = actions.get(route.handler)
    if service is None or not service.deployed or action is None:
        raise Rejection(statuses.SERVICE_NOT_FOUND)
    return action
