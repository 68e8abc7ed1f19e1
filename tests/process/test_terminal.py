"""Names, addresses, notes and authors from outside cannot control the operator's terminal."""

import asyncio
import re
from pathlib import Path

import orjson
import pytest
from support.command import fails, succeeds
from support.harness import execute
from test_tables import on_terminal

HOSTILE = "Eve\x1b[2J\x9b31m\r\x07\x7f\u202eevE\u2066\u200f\u2028"
SHOWN = r"Eve\x1b[2J\x9b31m\x0d\x07\x7f\u202eevE\u2066\u200f\u2028"
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
FILL = [
    "update gateway.users set first_name = $1 where id = 1",
    "update gateway.users set email = $1 || '@example.com' where id = 2",
    "update gateway.application_tokens set note = $1",
    "update gateway.applications set name = $1",
    "update gateway.revisions set applied_by = $1",
    """
    insert into gateway.outbox (kind, payload, state, last_error)
    values ('mail', jsonb_build_object('name', $1::text), 'parked', $1)
    """,
    """
    insert into gateway.notifications (kind, severity, fold, message, route)
    values ('mail-failed', 'error', 'k', $1, $1)
    """,
]
COMMANDS = [
    "user list",
    "user show employee@example.com",
    "token list",
    "application list",
    "application show planoorder",
    "history",
    "history 1",
    "outbox list --state all",
    "outbox show 1",
    "notifications list",
]


@pytest.fixture
def hostile(database: str) -> str:
    """A database with control characters in every text that comes from outside."""

    async def fill() -> None:
        for statement in FILL:
            await execute(database, statement, HOSTILE)

    asyncio.run(fill())
    return database


@pytest.mark.parametrize("command", COMMANDS)
def test_command_shows_control_characters_as_escapes(hostile: str, command: str) -> None:
    printed = on_terminal(*command.split(), url=hostile)
    assert not CONTROLS.search(printed), printed
    # Broken into lines where a column is narrow.
    assert SHOWN[:10] in re.sub(r"\s", "", printed) or "history 1" in command


def test_json_of_a_command_has_the_text_and_no_control_characters(
    hostile: str, tmp_path: Path
) -> None:
    printed = succeeds(
        *("user", "show", "employee@example.com", "--json"),
        cwd=tmp_path,
        GATEWAY_DATABASE_URL=hostile,
    )
    assert not CONTROLS.search(printed)
    assert orjson.loads(printed)["first_name"] == HOSTILE


def test_error_shows_control_characters_as_escapes(database: str, tmp_path: Path) -> None:
    printed = fails(
        *("application", "show", "Eve\x1b[2J\u202e"),
        cwd=tmp_path,
        GATEWAY_DATABASE_URL=database,
    )
    assert not CONTROLS.search(printed)


def test_outbox_address_with_control_characters_is_refused(database: str, tmp_path: Path) -> None:
    printed = fails(
        *("outbox", "retry", "1", "--to", "eve\x9b@example.com"),
        cwd=tmp_path,
        GATEWAY_DATABASE_URL=database,
    )
    assert printed == "'eve\\x9b@example.com' is not a valid e-mail address\n"
