"""Who calls: tokens, sessions, passwords and rate limits."""
