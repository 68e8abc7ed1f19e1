"""A process that serves: a worker, its server, and the supervisor of several workers."""
