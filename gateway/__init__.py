"""The Plano gateway. What a service may use is exported here, and nothing else is."""

from gateway.actions import ALONE, Outcome, batched
from gateway.database.pool import Connection
from gateway.database.sql import load_queries
from gateway.database.work import Work
from gateway.identity import lifetime, tokens, views
from gateway.mail.send import Message
from gateway.rendered import Rendered
from gateway.upstreams.call import Call
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
