"""An embedded PostgreSQL server in a folder, to run the gateway without a database server."""

from gateway.dev.postgres.cluster import Cluster
from gateway.dev.postgres.programs import EmbeddedError

__all__ = ["Cluster", "EmbeddedError"]
