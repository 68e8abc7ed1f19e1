"""Tables on a terminal of 80 columns: nothing is cut, and no line is longer."""

import asyncio
import os
import pty
import re
import subprocess
import sys

import pytest
from support.command import environment
from support.harness import ROOT, execute

TERMINAL = 80
LONG = "a message that is longer than any column of a terminal " * 3
REQUEST_ID = "0123456789abcdef0123456789abcdef"


def on_terminal(*words: str, url: str) -> str:
    """What a command prints on a terminal of 80 columns; it must exit 0."""
    master, slave = pty.openpty()
    variables = {**environment(GATEWAY_DATABASE_URL=url), "TERM": "xterm", "COLUMNS": str(TERMINAL)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *words], cwd=ROOT, env=variables, stdout=slave
    )
    os.close(slave)
    printed = b""
    try:
        while chunk := os.read(master, 65536):
            printed += chunk
    except OSError:  # how Linux reports the end of a terminal
        pass
    finally:
        os.close(master)
    assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).replace("\r\n", "\n")


@pytest.fixture
def filled(database: str) -> str:
    """A database whose tables have long cells."""

    async def fill() -> None:
        await execute(
            database,
            "insert into gateway.notifications (kind, severity, fold, message, route, request_id) "
            "values ('mail-failed', 'error', 'k', $1, 'order_stages.create', $2)",
            LONG,
            REQUEST_ID,
        )
        await execute(
            database,
            "insert into gateway.outbox (kind, payload, state, attempts, last_error) "
            "values ('mail', '{}', 'parked', 5, $1)",
            LONG,
        )

    asyncio.run(fill())
    return database


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("routes",), ["order_stages.create", "statuses.delete", "service-not-found"]),
        (("history",), ["applied_at", "plano", "tests"]),
        (("notifications", "list"), [LONG, REQUEST_ID, "order_stages.create"]),
        (("token", "list"), ["planoorder", "created_at", "active"]),
        (("outbox", "list", "--state", "all"), [LONG, "parked"]),
        (("config",), ["GATEWAY_LISTEN_DATABASE_URL", "https://mandrillapp.com/api/1.0/"]),
        (("statuses",), ["client-registration-required", "action-successful"]),
    ],
    ids=" ".join,
)
def test_table_fits_a_terminal_of_80_columns_and_cuts_nothing(
    filled: str, words: tuple[str, ...], wanted: list[str]
) -> None:
    printed = on_terminal(*words, url=filled)
    assert "…" not in printed
    lines = printed.splitlines()
    if any("─" in line for line in lines):
        assert max(map(len, lines)) <= TERMINAL
        words_of_cells = set(re.split(r"\s+", printed))
        assert {word for text in wanted for word in text.split() if len(word) <= 16} <= (
            words_of_cells
        )
    else:
        assert all(text.strip() in printed for text in wanted)
