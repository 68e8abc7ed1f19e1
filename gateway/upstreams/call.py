"""What a service's action is given: the request's values, and what it may use to do its work."""

from typing import Any, NamedTuple

from gateway.database.handle import Database
from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords
from gateway.outbox.mailer import Mailer
from gateway.registry.records import Route
from gateway.values import Caller


class Call(NamedTuple):
    """What a service's action is given.

    `deadline` is until when the answer must be ready, in seconds of the event loop's clock;
    `address` is the caller's.
    """

    request_id: str
    route: Route
    caller: Caller
    params: dict[str, Any]
    db: Database
    deadline: float
    address: str
    passwords: Passwords
    limits: Limits
    mail: Mailer
