"""The Plano gateway. What a service may use is exported here, and nothing else is.

Each name is imported when it is first used, so that the command line starts without the server.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway import statuses
    from gateway.database.connect import Connection
    from gateway.database.errors import DatabaseError, ForeignKeyViolation, UniqueViolation
    from gateway.database.handle import Database
    from gateway.database.render_cache import RenderCache
    from gateway.database.sql import load_queries
    from gateway.identity import emails, lifetime, tokens, views
    from gateway.outbox.transport import Message
    from gateway.upstreams.action import RETRY_SINGLY, Outcome, batched
    from gateway.upstreams.call import Call
    from gateway.values import Caller, QueuedMail, Rejection, Reply, Session
else:
    from gateway.runtime.exports import __getattr__ as __getattr__

__all__ = [
    "RETRY_SINGLY",
    "Call",
    "Caller",
    "Connection",
    "Database",
    "DatabaseError",
    "ForeignKeyViolation",
    "Message",
    "Outcome",
    "QueuedMail",
    "Rejection",
    "RenderCache",
    "Reply",
    "Session",
    "UniqueViolation",
    "batched",
    "emails",
    "lifetime",
    "load_queries",
    "statuses",
    "tokens",
    "views",
]
