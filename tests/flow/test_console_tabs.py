"""The tabs of the console that look things up: routes, revisions, outbox."""

import pytest
from support.console import CONSOLE, NOTIFICATION, signed_in
from support.harness import Client, execute
from support.mail import MailSetup, create, messages, set_client_email, wait_until_sent

CREATE = "/routes/order_stages.create"


async def test_routes_are_found_by_words_method_and_service(client: Client) -> None:
    async with signed_in(client.worker) as console:
        page = await console.page("/routes?q=event_slug")
        assert [row.all("th")[0].text for row in page.root.all("tr")[1:]] == ["order_stages.create"]
        page = await console.page("/routes?method=DELETE&service=statuses")
        assert [row.all("th")[0].text for row in page.root.all("tr")[1:]] == ["statuses.delete"]
        page = await console.page("/routes?q=apointments")
        assert "Did you mean" in page.root.text


async def test_request_that_is_not_served_is_explained(client: Client) -> None:
    async with signed_in(client.worker) as console:
        path = "/api/v1/order_stages/crate"
        page = await console.page(f"/routes?as=POST&path={path}")
        assert "route-non-existent" in page.root.text
        assert "create" in page.root.text
        page = await console.page("/routes?as=GET&path=/services/statuses/7%3Ffields=id")
        assert "statuses.read" in page.root.text


async def test_route_shows_its_record_params_answers_faults_and_history(client: Client) -> None:
    assert (await client.create_stage(order_id=7)).status_code == 200
    await client.worker.reporter._report()
    async with signed_in(client.worker) as console:
        await execute(client.database_url, "delete from gateway.samples")
        page = await console.page(CREATE)
        for text in ("optional", "update_status", "Revision 1", "the route is added"):
            assert text in page.root.text


async def test_unknown_route_is_a_page_with_a_suggestion(client: Client) -> None:
    async with signed_in(client.worker) as console:
        response = await console.get("/routes/order_stages.crate")
        assert response.status_code == 404
        assert "order_stages.create" in response.text


async def test_routes_need_no_database_and_revisions_say_that_they_do(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with signed_in(client.worker) as console:
        await console.page("/routes")
        # The heartbeat finds the server well, and would end the outage at its next ping.
        monkeypatch.setattr(client.worker.database.availability, "report_up", lambda _: None)
        for pool in client.worker._pools:
            pool.mark_down("taken away by the test")
        assert "The database does not answer" in (await console.page(CREATE)).root.text
        response = await console.get("/revisions")
        assert response.status_code == 503
        assert "The database does not answer" in response.text
        overview = await console.page("")
        assert "as of" in overview.root.text
        # From memory an operator may look, but not act.
        assert "read only" in overview.root.text
        for pool in client.worker._pools:
            pool.mark_up()


async def test_revisions_are_listed_and_shown_in_the_words_of_a_plan(client: Client) -> None:
    async with signed_in(client.worker) as console:
        page = await console.page("/revisions")
        assert "on 1 of 1" in page.root.text
        page = await console.page("/revisions/1")
        assert "order_stages.create" in page.root.text
        for unknown in ("99", "9" * 30):
            assert (await console.get(f"/revisions/{unknown}")).status_code == 404


@pytest.fixture
async def failing(setup: MailSetup) -> MailSetup:
    """A message that is parked, since Mandrill refuses its recipient."""
    async with setup.serving() as client:
        await set_client_email(client, "rejected@x.y")
        assert (await create(client)).json()["status"] == "mandrill-email-failed"
    return setup


async def test_message_is_shown_mended_and_retried_with_all_of_its_error(
    failing: MailSetup,
) -> None:
    async with failing.serving() as client, signed_in(client.worker) as console:
        [message] = await messages(failing.database)
        page = await console.page("/outbox")
        assert message["last_error"] in page.root.text
        page = await console.page(f"/outbox/{message['id']}")
        assert "order-stage-changed" in page.root.text
        mend = 'update gateway.outbox set payload = payload || \'{"email": "client@example.com"}\''
        await execute(failing.database, mend)
        response = await console.act("/outbox/retry", error=message["last_error"])
        assert response.status_code == 303
        await wait_until_sent(failing.database)
        refused = await console.act(f"/outbox/{message['id']}/retry")
        assert refused.status_code == 409


async def test_message_is_discarded_after_a_page_has_asked(failing: MailSetup) -> None:
    async with failing.serving() as client, signed_in(client.worker) as console:
        [message] = await messages(failing.database)
        page = await console.page(f"/outbox/{message['id']}/discard")
        assert "permanently" in page.root.text
        response = await console.act(f"/outbox/{message['id']}/discard")
        assert response.status_code == 303
        [message] = await messages(failing.database)
        assert message["state"] == "discarded"
        assert (await console.get("/outbox/999")).status_code == 404


MANY = """
select gateway.raise_notification(
    'application-crash', 'error', 'x' || n, 'failed ' || n, 'a.b', 'r' || n, now(), 1
)
from generate_series(1, 230) n
"""


async def test_notifications_are_found_even_if_there_are_very_many(client: Client) -> None:
    await execute(client.database_url, MANY)
    async with signed_in(client.worker) as console:
        page = await console.page("/notifications")
        assert "180 more notifications" in page.root.text
        for text, found in (("failed 7", True), ("failed 229", True), ("failed 999", False)):
            page = await console.page(f"/notifications?q={text}&kind=application-crash")
            assert ("No notification matches." not in page.root.text) == found, text
        verdict = (await console.page()).root.text
        assert "220 more notifications are open" in verdict


async def test_notification_that_another_operator_resolved_is_said_to_be_over(
    client: Client,
) -> None:
    await execute(client.database_url, NOTIFICATION)
    async with signed_in(client.worker) as console:
        token = await console.form_token("/notifications")
        done = await console.post("/notifications/1/resolve", token, q="a b")
        assert (done.status_code, done.headers["location"]) == (
            303,
            f"{CONSOLE}/notifications?q=a+b",
        )
        again = await console.post("/notifications/1/resolve", token)
        assert again.status_code == 404
        assert "not open any more" in again.text
        page = await console.page("/notifications?state=resolved&q=keyerror")
        assert "KeyError at a.py:1" in page.root.text


async def test_text_that_turns_its_direction_turns_nothing_beside_it(client: Client) -> None:
    turned = NOTIFICATION.replace("KeyError", "\u202eKeyError")
    await execute(client.database_url, turned)
    async with signed_in(client.worker) as console:
        for path in ("", "/notifications"):
            assert "<bdi>" in (await console.get(path)).text.partition("\u202e")[0][-200:]
