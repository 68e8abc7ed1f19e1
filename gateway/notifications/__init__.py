"""Notifications: what ails the gateway and somebody has to mend, each fault once."""
