"""Notifications: the problems that an operator must fix, each listed once."""
