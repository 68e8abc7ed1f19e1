"""A PostgreSQL server of our own in a folder, for running the gateway without a database server."""

from gateway.dev.postgres.cluster import Cluster
from gateway.dev.postgres.programs import EmbeddedError

__all__ = ["Cluster", "EmbeddedError"]
