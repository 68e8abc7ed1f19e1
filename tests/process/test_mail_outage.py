"""Committed mail is sent in the end, even if the database and the gateway die before."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.command import PATIENCE, Running, running, wait_until
from support.mail import EMAIL, recipients
from support.mandrill import KEY, running_stand_in
from support.outages import CREATE, Database, stage

from gateway.dev.mandrill import API, StandIn


@pytest.fixture
def mandrill() -> Iterator[tuple[StandIn, str]]:
    with running_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def serve(server: Database, mandrill: tuple[StandIn, str], tmp_path: Path) -> Callable[[], Any]:
    """A context manager that runs `gateway serve`."""
    settings = {
        "GATEWAY_DATABASE_URL": server.app_url,
        "GATEWAY_MANDRILL_URL": mandrill[1] + API,
        "GATEWAY_MANDRILL_API_KEY": KEY,
    }
    return lambda: running("serve", cwd=tmp_path, **settings)


def kill_during_call(
    server: Database, command: Running, token: str, may_kill: Callable[[], Any]
) -> httpx2.Response:
    """Kill the database during a call, then the gateway; return the call's answer."""
    url = command.url() + CREATE
    with ThreadPoolExecutor(1) as thread:
        params = stage(token, event_slug="stage-changed")
        call = thread.submit(httpx2.post, url, json=params, timeout=PATIENCE)
        wait_until(may_kill)
        server.take_away("killed")
        answer = call.result()
    command.process.kill()
    command.process.wait()
    server.restore()
    return answer


HOLD = [
    (
        "create function hold() returns trigger language plpgsql as "
        "$$ begin perform pg_sleep(60); return new; end $$"
    ),
    "create trigger hold before update on gateway.outbox for each row execute function hold()",
]
HELD = "select from pg_stat_activity where wait_event = 'PgSleep'"
DUE = "update gateway.outbox set next_at = now() where state = 'waiting'"
LEFT = "select from gateway.outbox where state <> 'sent'"
NOTIFIED = """
select from order_stages s join gateway.outbox o on o.about_id = s.id
where s.notified_at = o.sent_at
"""


def expect_sent(server: Database) -> None:
    """Let the retry come due: the committed mail is sent, and that is recorded."""
    server.run(DUE)
    wait_until(lambda: not server.run(LEFT))
    assert len(server.run(NOTIFIED)) == len(server.run("select from order_stages")) == 1


def test_mail_is_sent_after_the_database_dies_between_commit_and_sending(
    server: Database,
    demo_tokens: dict[str, str],
    mandrill: tuple[StandIn, str],
    serve: Callable[[], Any],
) -> None:
    for statement in HOLD:
        server.run(statement)
    with serve() as command:
        answer = kill_during_call(
            server, command, demo_tokens["employee"], lambda: server.run(HELD)
        )
    assert (answer.status_code, answer.json()["status"]) == (500, "mandrill-email-failed")
    [row] = server.run("select state, attempts from gateway.outbox")
    assert tuple(row) == ("waiting", 0)
    assert not mandrill[0].received
    server.run("drop trigger hold on gateway.outbox")
    with serve() as command:
        command.url()
        expect_sent(server)
    assert recipients(mandrill[0]) == [EMAIL]


def test_mail_is_sent_again_after_the_database_dies_while_mandrill_works(
    server: Database,
    demo_tokens: dict[str, str],
    mandrill: tuple[StandIn, str],
    serve: Callable[[], Any],
) -> None:
    stand_in = mandrill[0]
    server.run("update gateway.users set email = 'slow@example.com' where id = 2")
    with serve() as command:
        answer = kill_during_call(
            server, command, demo_tokens["employee"], lambda: stand_in.received
        )
    assert (answer.status_code, answer.json()["status"]) == (500, "mandrill-email-failed")
    [row] = server.run("select state, attempts from gateway.outbox")
    assert tuple(row) == ("waiting", 1)
    stand_in._slow_delay = 0
    with serve() as command:
        command.url()
        expect_sent(server)
    assert recipients(stand_in) == ["slow@example.com"] * 2
