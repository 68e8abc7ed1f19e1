"""The names of the gateway's connections in `pg_stat_activity`."""

import os
import socket

from support.harness import Client, execute, serving

NAMES = """
select application_name from pg_stat_activity where datname = current_database()
    and backend_type = 'client backend'
"""
WHO = f"{socket.gethostname()}:{os.getpid()}"


def name(purpose: str) -> str:
    """What PostgreSQL shows; it cuts long names off."""
    return f"gateway {purpose} {WHO}"[:63]


async def test_connection_names_have_the_worker_and_the_purpose(client: Client) -> None:
    await client.create_stage(order_id=7)
    names = {row["application_name"] for row in await execute(client.database_url, NAMES)}
    purposes = ("calls", "lookup", "listener", "registry", "command")
    assert {name(purpose) for purpose in purposes} <= names


async def test_connection_name_in_the_address_is_kept(
    database: str, tokens: dict[str, str]
) -> None:
    joint = "&" if "?" in database else "?"
    url = f"{database}{joint}application_name=shop"
    async with serving(url, tokens) as client:
        await client.create_stage(order_id=7)
        names = {row["application_name"] for row in await execute(url, NAMES)}
    assert names == {"shop"}
