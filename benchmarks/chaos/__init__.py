"""Chaos test: faults of every kind under a mixed load, and a judge of the results.

`make chaos` starts PostgreSQL, a stand-in for Mandrill and `gateway serve --workers 2`. Callers
create, change, delete, log in and make mistakes, while processes are killed, frozen and replaced.
A seed decides the order. At the end the judge compares the answers with the database.
"""
