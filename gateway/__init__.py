"""The Plano gateway. What a service may use is exported here, and nothing else is."""

from gateway.database.sql import load_queries
from gateway.values import Call, Caller, Reject, Reply

__all__ = ["Call", "Caller", "Reject", "Reply", "load_queries"]
