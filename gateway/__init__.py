"""The Plano gateway. What a service may use is exported here, and nothing else is."""

from gateway.database.pool import Connection
from gateway.database.sql import load_queries
from gateway.identity import lifetime, tokens, views
from gateway.values import Call, Caller, Reject, Reply, Session

__all__ = [
    "Call",
    "Caller",
    "Connection",
    "Reject",
    "Reply",
    "Session",
    "lifetime",
    "load_queries",
    "tokens",
    "views",
]
