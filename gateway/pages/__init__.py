"""The gateway's own pages, for people and tools."""
