"""The Plano gateway. What a service may use is exported here, and nothing else is."""

from gateway import statuses
from gateway.database.handle import Database
from gateway.database.pool import Connection
from gateway.database.render_cache import RenderCache
from gateway.database.sql import load_queries
from gateway.identity import lifetime, tokens, views
from gateway.outbox.transport import Message
from gateway.upstreams.call import Call
from gateway.upstreams.python import RETRY_SINGLY, Outcome, batched
from gateway.values import Caller, QueuedMail, Rejection, Reply, Session

__all__ = [
    "RETRY_SINGLY",
    "Call",
    "Caller",
    "Connection",
    "Database",
    "Message",
    "Outcome",
    "QueuedMail",
    "Rejection",
    "RenderCache",
    "Reply",
    "Session",
    "batched",
    "lifetime",
    "load_queries",
    "statuses",
    "tokens",
    "views",
]
