"""The registry in memory: records, the table of routes, and how a worker keeps it current."""
