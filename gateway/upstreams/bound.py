"""The actions of a worker: those of its own code, and those of services elsewhere."""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.upstreams.action import Action
from gateway.upstreams.http.services import HttpServices


class BoundActions(NamedTuple):
    """`python` has the actions of this process by `service.action`; `http` has the others."""

    python: Mapping[str, Action]
    http: HttpServices
