"""The console's outbox: filters, and changes of all messages that have one error."""

from urllib.parse import urlencode

import pytest
from support.console import Console, signed_in
from support.harness import Client, execute, on

from gateway.database.connect import Connection
from gateway.outbox import admin
from gateway.outbox.admin import MessageGroup, OutboxError

UNKNOWN = "Unknown_Template: there is\nno such template"
REFUSED = "rejected: hard-bounce"
FAULT = "mandrill-email-failed:order_stages.create:a:Unknown_Template"
QUEUE = """
insert into gateway.outbox (kind, payload, state, last_error, fault, attempts)
values ('mail', '{"template": "a", "email": "a@x.y"}', 'parked', $1, $3, 2),
       ('mail', '{"template": "a", "email": "b@x.y"}', 'parked', $1, $3, 3),
       ('mail', '{"template": "a", "email": "c@x.y"}', 'parked', $2, null, 1),
       ('webhook', '{}', 'parked', $2, null, 1),
       ('mail', '{"template": "a", "email": "d@x.y"}', 'sent', null, null, 1),
       ('mail', '{"template": "a", "email": "e@x.y"}', 'discarded', $1, $3, 4)
"""
HUGE = "9" * 4400
"""More digits than Python reads as a number."""


@pytest.fixture
async def queued(client: Client) -> Client:
    """A client whose outbox has four parked messages, one that was sent, and one discarded."""
    await execute(client.database_url, QUEUE, UNKNOWN, REFUSED, FAULT)
    return client


async def states(client: Client) -> list[str]:
    """The states of all messages, by id."""
    rows = await execute(client.database_url, "select state from gateway.outbox order by id")
    return [row["state"] for row in rows]


async def listed(console: Console, **query: str) -> list[str]:
    """The ids of the messages that the outbox lists, the newest first."""
    page = await console.page(f"/outbox?{urlencode(query)}")
    return [row.all("a")[0].text for row in page.root.all("tr")[1:]]


async def test_outbox_lists_messages_by_state_kind_error_and_notification(
    queued: Client,
) -> None:
    async with signed_in(queued.worker) as console:
        assert await listed(console) == ["4", "3", "2", "1"]
        assert await listed(console, state="sent") == ["5"]
        assert await listed(console, state="all", kind="webhook") == ["4"]
        assert await listed(console, error=REFUSED, kind="mail") == ["3"]
        assert await listed(console, fault=FAULT) == ["2", "1"]
        assert await listed(console, fault=FAULT, state="discarded") == ["6"]
        assert (await console.get("/outbox?state=lost")).status_code == 404
        beyond = await console.page("/outbox?page=9")
        assert "There is no older message." in beyond.root.text
        assert (await console.get("/outbox?error=%00")).status_code == 200


async def test_outbox_changes_a_group_only_where_the_list_shows_all_of_it(
    queued: Client,
) -> None:
    async with signed_in(queued.worker) as console:
        for query, offers in (
            ({"error": REFUSED}, True),
            ({"error": REFUSED, "state": "all"}, True),
            ({"error": REFUSED, "kind": "mail"}, False),
            ({"error": REFUSED, "state": "sent"}, False),
        ):
            page = await console.page(f"/outbox?{urlencode(query)}")
            assert ("with this error" in page.root.text) == offers, query


async def test_outbox_discards_all_messages_with_one_error_after_a_page_has_asked(
    queued: Client,
) -> None:
    async with signed_in(queued.worker) as console:
        query = urlencode({"error": UNKNOWN})
        page = await console.page(f"/outbox?{query}")
        assert f"/-/console/outbox/discard?{query}" in [
            link.attributes.get("href") for link in page.root.all("a")
        ]
        page = await console.page(f"/outbox/discard?{query}")
        assert "Discard 2 messages permanently?" in page.root.text
        assert (await states(queued))[:2] == ["parked", "parked"]
        # A browser sends the line ends of a field as CR LF.
        error = UNKNOWN.replace("\n", "\r\n")
        response = await console.act("/outbox/discard", error=error)
        assert response.status_code == 303
        assert await states(queued) == [
            *("discarded", "discarded", "parked", "parked", "sent", "discarded")
        ]
        page = await console.page(response.headers["location"].removeprefix("/-/console"))
        assert len(page.root.all("tr")) == 1 + 3
        page = await console.page(f"/outbox/discard?{query}")
        assert "No unsent message has this error." in page.root.text


async def test_outbox_discards_all_messages_behind_one_notification(queued: Client) -> None:
    async with signed_in(queued.worker) as console:
        assert (await console.act("/outbox/discard", fault=FAULT)).status_code == 303
    assert (await states(queued))[:4] == ["discarded", "discarded", "parked", "parked"]


async def test_outbox_retries_all_messages_with_one_error(queued: Client) -> None:
    async with signed_in(queued.worker) as console:
        page = await console.page(f"/outbox?{urlencode({'error': UNKNOWN})}")
        assert "Retry 2 with this error" in page.root.text
        assert (await console.act("/outbox/retry", error=UNKNOWN)).status_code == 303
    # The worker tries them again at once: one that failed is parked with another error.
    query = """
    select id from gateway.outbox where state = 'parked' and last_error in ($1, $2) order by id
    """
    left = await execute(queued.database_url, query, UNKNOWN, REFUSED)
    assert [row["id"] for row in left] == [3, 4]


@pytest.mark.parametrize(
    "group",
    [
        MessageGroup.of(error=UNKNOWN),
        MessageGroup.of(fault=FAULT),
        MessageGroup.of(error=UNKNOWN, fault=FAULT),
    ],
)
async def test_outbox_retry_of_a_group_makes_due_what_is_not_sent(
    database: str, group: MessageGroup
) -> None:
    await execute(database, QUEUE, UNKNOWN, REFUSED, FAULT)
    assert await on(database, lambda db: admin.count(db, group)) == 2
    assert await on(database, lambda db: admin.retry_group(db, group)) == 2
    due = "select id from gateway.outbox where state = 'waiting' and next_at <= now() order by id"
    assert [row["id"] for row in await execute(database, due)] == [1, 2]


async def test_outbox_change_of_no_error_in_particular_changes_nothing(queued: Client) -> None:
    before = await states(queued)
    async with signed_in(queued.worker) as console:
        for path in ("/outbox/retry", "/outbox/discard"):
            assert (await console.act(path, error="")).status_code == 404
        assert (await console.get("/outbox/discard")).status_code == 404
    assert await states(queued) == before
    assert await on(queued.database_url, lambda db: admin.discard(db, [])) == 0
    assert await states(queued) == before


async def test_outbox_operator_who_may_only_look_is_not_offered_to_discard(
    queued: Client,
) -> None:
    look = "update gateway.users set permissions = '{ops}' where id = 1"
    await execute(queued.database_url, look)
    async with signed_in(queued.worker) as console:
        page = await console.page(f"/outbox/discard?{urlencode({'error': UNKNOWN})}")
        assert "permanently" not in page.root.text
        assert (await console.act("/outbox/discard", error=UNKNOWN)).status_code == 403
    assert (await states(queued))[:2] == ["parked", "parked"]


async def _redirect(db: Connection) -> int:
    await admin.redirect(db, 1, "z@x.y")
    return 1


@pytest.mark.parametrize("in_progress", ["claimed_at = now()", "awaited_until = now() + '1 min'"])
@pytest.mark.parametrize(
    "change",
    [
        lambda db: admin.retry(db, [1]),
        lambda db: admin.retry_group(db, MessageGroup.of(error=UNKNOWN)),
        lambda db: admin.discard(db, [1]),
        lambda db: admin.discard_group(db, MessageGroup.of(fault=FAULT)),
        _redirect,
    ],
    ids=["retry", "retry_group", "discard", "discard_group", "redirect"],
)
async def test_outbox_message_in_progress_is_left_alone_by_every_change(
    database: str, in_progress: str, change: object
) -> None:
    await execute(database, QUEUE, UNKNOWN, REFUSED, FAULT)
    busy = f"next_at = now() + '1 min', state = 'waiting', {in_progress}"
    await execute(database, f"update gateway.outbox set {busy} where id in (1, 2)")
    query = "select * from gateway.outbox order by id"
    before = await execute(database, query)
    try:
        changed = await on(database, change)  # type: ignore[arg-type]
    except OutboxError:
        changed = 0
    assert changed == 0
    assert await execute(database, query) == before


async def test_console_id_of_thousands_of_digits_is_not_found(queued: Client) -> None:
    async with signed_in(queued.worker) as console:
        for path in ("/outbox/{}", "/outbox/{}/discard", "/revisions/{}"):
            assert (await console.get(path.format(HUGE))).status_code == 404
        for path in (
            *("/outbox/{}/retry", "/outbox/{}/discard"),
            *("/notifications/{}/retry", "/notifications/{}/resolve"),
        ):
            assert (await console.act(path.format(HUGE))).status_code == 404
            assert (await console.act(path.format(999))).status_code == 404
