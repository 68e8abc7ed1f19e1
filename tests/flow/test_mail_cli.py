"""`gateway outbox` and `gateway notifications`: what they print, change and refuse."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.cli import Gateway, gateway_in_process
from support.harness import execute

FILL = """
insert into gateway.outbox
    (kind, payload, state, attempts, next_at, claimed_at, last_error, about, about_id, sent_at)
select
    'mail', '{"template": "order-stage-changed", "email": "client@example.com"}', state, 1,
    now() + interval '1 hour', case when claimed then now() end, error, 'order_stages', 70, done
from (values
    ('sent', false, null, now()),
    ('parked', false, 'Unknown_Template', null),
    ('waiting', false, 'timeout', null),
    ('waiting', true, null, null),
    ('discarded', false, 'no recipient', null)
) as row (state, claimed, error, done)
"""
SENT, PARKED, WAITING, IN_PROGRESS, DISCARDED = range(1, 6)
STATES = "select id, state, next_at <= now() as is_due from gateway.outbox order by id"
RAISE = """
select gateway.raise_notification(
    'application-crash', 'error', 'f' || n, 'RuntimeError at a:1 in b', 'probe.crash', 'r' || n,
    now(), 1
) from generate_series(1, 3) as n
"""


@pytest.fixture
def gateway(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gateway:
    """The command in this process; returns its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "250")
    return gateway_in_process(tmp_path, database, monkeypatch, capsys)


@pytest.fixture
def filled(database: str) -> str:
    """A database with a message in each state (4 is in progress) and three notifications."""
    rows(database, FILL)
    rows(database, RAISE)
    return database


def rows(url: str, query: str) -> list[Any]:
    return [tuple(row) for row in asyncio.run(execute(url, query))]


def listed(gateway: Gateway, *words: str) -> list[dict[str, Any]]:
    code, out, err = gateway(*words, "--json")
    assert (code, err) == (0, "")
    printed: list[dict[str, Any]] = orjson.loads(out)
    return printed


def ids(printed: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in printed]


# outbox


def test_outbox_commands_accept_an_empty_outbox(gateway: Gateway, database: str) -> None:
    assert database
    assert listed(gateway, "outbox", "list") == []
    code, _, _ = gateway("outbox", "list")
    assert code == 0
    assert gateway("outbox", "retry", "--all") == (0, "0 messages will be retried\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [IN_PROGRESS, WAITING, PARKED]),
        (["--limit", "2"], [IN_PROGRESS, WAITING]),
        (["--state", "parked"], [PARKED]),
        (["--state", "sent"], [SENT]),
        (["--state", "all"], [DISCARDED, IN_PROGRESS, WAITING, PARKED, SENT]),
    ],
    ids=str,
)
@pytest.mark.usefixtures("filled")
def test_outbox_list_filters_by_state_with_the_newest_first(
    gateway: Gateway, words: list[str], expected: list[int]
) -> None:
    messages = listed(gateway, "outbox", "list", *words)
    assert ids(messages) == expected
    assert {row["about"] for row in messages} == {"order_stages 70"}
    assert all((row["next_at"] is not None) == (row["state"] == "waiting") for row in messages)
    assert not [row for row in messages if "client@example.com" in str(row)]
    assert "order-stage-changed" in gateway("outbox", "list", *words)[1]


def test_outbox_show_prints_the_whole_message(gateway: Gateway, filled: str) -> None:
    assert filled
    code, out, _ = gateway("outbox", "show", str(PARKED), "--json")
    shown = orjson.loads(out)
    assert (code, shown["state"], shown["last_error"]) == (0, "parked", "Unknown_Template")
    assert shown["payload"]["email"] == "client@example.com"
    assert "Unknown_Template" in gateway("outbox", "show", str(PARKED))[1]


def test_outbox_show_of_an_unknown_message_fails(gateway: Gateway, database: str) -> None:
    assert database
    error = "unknown message 4711; `gateway outbox list --state all` lists the messages\n"
    assert gateway("outbox", "show", "4711") == (1, "", error)


def test_outbox_messages_are_retried_and_discarded_by_id(gateway: Gateway, filled: str) -> None:
    messages = str(PARKED), str(WAITING)
    assert gateway("outbox", "retry", *messages) == (0, "2 messages will be retried\n", "")
    assert rows(filled, STATES)[1:3] == [(PARKED, "waiting", True), (WAITING, "waiting", True)]
    assert gateway("outbox", "discard", messages[0]) == (0, "1 message discarded\n", "")
    assert rows(filled, STATES)[1][:2] == (PARKED, "discarded")


def test_outbox_retry_all_retries_only_parked_messages(gateway: Gateway, filled: str) -> None:
    before = rows(filled, STATES)
    assert gateway("outbox", "retry", "--all") == (0, "1 message will be retried\n", "")
    after = rows(filled, STATES)
    assert after.pop(PARKED - 1) == (PARKED, "waiting", True)
    assert after == [row for row in before if row[0] != PARKED]


@pytest.mark.parametrize("verb", ["retry", "discard"])
@pytest.mark.parametrize("number", [SENT, IN_PROGRESS, DISCARDED, 4711])
def test_outbox_message_that_cannot_be_changed_leaves_all_unchanged(
    gateway: Gateway, filled: str, verb: str, number: int
) -> None:
    before = rows(filled, STATES)
    code, out, err = gateway("outbox", verb, str(PARKED), str(number))
    assert (code, out) == (1, "")
    change = {"retry": "retried", "discard": "discarded"}[verb]
    assert err.startswith(f"nothing was changed: these messages cannot be {change}: {number}; ")
    assert rows(filled, STATES) == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["outbox", "retry"], "name what to retry"),
        (["outbox", "retry", "1", "--all"], "name what to retry"),
        (["outbox", "discard"], "name what to discard"),
        (["outbox", "list", "--state", "lost"], "unknown state 'lost': use waiting, parked"),
        (["notifications", "resolve"], "name what to resolve"),
        (["notifications", "resolve", "1", "--all"], "name what to resolve"),
        (["outbox", "show", "0"], "Error"),
        (["outbox", "show", str(2**63)], "Error"),
        (["outbox", "list", "--limit", "0"], "Error"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_outbox_and_notifications_commands_refuse_invalid_arguments(
    gateway: Gateway, database: str, words: list[str], error: str
) -> None:
    assert database
    code, out, err = gateway(*words)
    assert code in {1, 2}
    assert out == ""
    assert error in err


# notifications


def test_notifications_commands_accept_an_empty_list(gateway: Gateway, database: str) -> None:
    assert database
    assert listed(gateway, "notifications", "list") == []
    assert gateway("notifications", "resolve", "--all") == (0, "0 notifications resolved\n", "")


def test_notifications_are_listed_until_they_are_resolved(gateway: Gateway, filled: str) -> None:
    assert filled
    notifications = listed(gateway, "notifications", "list")
    assert ids(notifications) == [3, 2, 1]
    assert list(notifications[0]) == (
        "id severity kind route count first_seen last_seen message request_id".split()
    )
    assert (notifications[0]["request_id"], notifications[0]["count"]) == ("r3", 1)
    assert "RuntimeError at a:1 in b" in gateway("notifications", "list")[1]
    _, _, more = gateway("notifications", "list", "--limit", str(len(notifications) - 1))
    assert "--limit shows more" in more
    assert "--limit" not in gateway("notifications", "list")[2]
    assert gateway("notifications", "resolve", "2") == (0, "1 notification resolved\n", "")
    assert ids(listed(gateway, "notifications", "list")) == [3, 1]
    assert ids(listed(gateway, "notifications", "list", "--limit", "1")) == [3]
    [resolved] = [
        row for row in listed(gateway, "notifications", "list", "--all") if row["id"] == 2
    ]
    assert resolved["resolved_at"] >= resolved["last_seen"]
    assert resolved["resolved_by"] not in {None, "", "gateway"}


@pytest.mark.parametrize("number", ["2", "4711"])
def test_notifications_resolve_of_one_that_is_not_open_changes_nothing(
    gateway: Gateway, filled: str, number: str
) -> None:
    gateway("notifications", "resolve", "2")
    code, out, err = gateway("notifications", "resolve", "1", number)
    assert (code, out) == (1, "")
    assert f"these notifications are not open: {number};" in err
    still_open = "select id from gateway.notifications where resolved_at is null order by id"
    assert rows(filled, still_open) == [(1,), (3,)]
    assert gateway("notifications", "resolve", "--all")[1] == "2 notifications resolved\n"
    assert rows(filled, still_open) == []


def test_outbox_message_may_be_retried_to_another_address(gateway: Gateway, filled: str) -> None:
    code, out, _ = gateway("outbox", "retry", str(PARKED), "--to", "new@example.com")
    assert (code, out) == (0, f"message {PARKED} will be retried, to new@example.com\n")
    columns = "state, next_at <= now(), payload ->> 'email'"
    assert rows(filled, f"select {columns} from gateway.outbox where id = {PARKED}") == [
        ("waiting", True, "new@example.com")
    ]


@pytest.mark.parametrize("words", [[str(SENT)], [str(IN_PROGRESS)], ["99"], ["--all"], ["2", "3"]])
def test_outbox_retry_to_another_address_that_is_refused_changes_nothing(
    gateway: Gateway, filled: str, words: list[str]
) -> None:
    before = rows(filled, STATES)
    code, _, err = gateway("outbox", "retry", *words, "--to", "new@example.com")
    assert code == 1
    assert err
    assert rows(filled, STATES) == before
    assert not rows(filled, "select from gateway.outbox where payload ->> 'email' like 'new%'")
