"""Failover test: a cluster in network namespaces, faults under load, and a judge of the results.

`make cluster` builds the cluster of `deploy/ha` on this machine: three nodes with etcd, Patroni and
PostgreSQL, two gateways, each behind its own PgBouncer, and HAProxy in front. Calls arrive at a
fixed rate while machines are killed, frozen and cut off. Then every acknowledged call is looked up
in the database. `make cluster-smoke` runs the most important faults in under three minutes.
"""
