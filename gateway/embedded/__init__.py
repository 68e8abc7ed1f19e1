"""A PostgreSQL server of our own in a folder, for running the gateway without a database server."""

from gateway.embedded.cluster import Cluster
from gateway.embedded.programs import EmbeddedError

__all__ = ["Cluster", "EmbeddedError"]
