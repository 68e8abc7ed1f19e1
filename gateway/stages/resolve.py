"""Resolve: the route and its service must be deployed, and this worker must have the code."""

from gateway import statuses
from gateway.registry.table import Match
from gateway.upstreams.action import Action
from gateway.upstreams.bound import BoundActions
from gateway.values import Rejection


def resolve(match: Match, actions: BoundActions) -> Action:
    """The action of a route. Raises Rejection: route-not-found, service-not-found."""
    route = match.route
    if not route.deployed:
        raise Rejection(statuses.ROUTE_NOT_FOUND)
    service = match.table.services.get(route.service)
    if service is None or not service.deployed:
        raise Rejection(statuses.SERVICE_NOT_FOUND)
    if service.upstream:
        return actions.http.action(service)
    action = actions.python.get(route.handler)
    if action is None:
        raise Rejection(statuses.SERVICE_NOT_FOUND)
    return action
