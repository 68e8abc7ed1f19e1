"""The Plano gateway. What a service may use is exported here, and nothing else is."""

from gateway.database.handle import Work
from gateway.database.pool import Connection
from gateway.database.render_cache import Rendered
from gateway.database.sql import load_queries
from gateway.identity import lifetime, tokens, views
from gateway.outbox.transport import Message
from gateway.upstreams.call import Call
from gateway.upstreams.python import ALONE, Outcome, batched
from gateway.values import Caller, Mailed, Reject, Reply, Session

__all__ = [
    "ALONE",
    "Call",
    "Caller",
    "Connection",
    "Mailed",
    "Message",
    "Outcome",
    "Reject",
    "Rendered",
    "Reply",
    "Session",
    "Work",
    "batched",
    "lifetime",
    "load_queries",
    "tokens",
    "views",
]
