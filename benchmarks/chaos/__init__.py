"""Chaos: faults of every kind under a mixed load, and a judge of what the gateway then holds.

`make chaos` starts PostgreSQL, a stand-in for Mandrill and `gateway serve --workers 2`. Callers
create, change, delete, log in and are refused, while processes are killed, frozen and replaced in
the order that a seed gives. At the end the judge compares the answers with the database.
"""
