"""The plugin's fixtures with this project's own application."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from starlette.responses import JSONResponse
from support.harness import execute, on
from support.mandrill import RecordingServer, served_in_thread
from support.upstreams import SECRET, VARIABLE, manifest

from gateway.database.connect import connect
from gateway.dev import demo
from gateway.testing import assert_status
from gateway.testing.databases import Databases
from gateway.testing.inside import Gateway
from gateway.testing.routes import ManifestReader
from gateway.testing.session import LocalGateway, Session
from gateway.testing.views import Mail, Notifications

STAGE: dict[str, Any] = {"order_id": 7, "update_status": True, "stage": "scheduled"}
EVENT = {**STAGE, "event_slug": "stage-changed"}


def test_gateway_calls_routes_of_every_kind(gateway: LocalGateway) -> None:
    assert_status(gateway.call("order_stages.create", **STAGE), "action-successful")
    assert gateway.call("statuses.count").json == {"count": 5}
    assert gateway.call("GET /services/statuses/count").json == {"count": 5}
    assert_status(gateway.call("statuses.count", as_=None), "missing-param", attr="token")
    signed_in = gateway.call(
        "sessions.create",
        as_=None,
        email="client@example.com",
        password="demo-password",
        application="planoorder",
    )
    assert signed_in.data["session"]["token"]
    with pytest.raises(LookupError, match="2 routes have the path"):
        gateway.call("/services/statuses")
    with pytest.raises(LookupError, match="the callers are application, employee"):
        gateway.call("statuses.count", as_="boss")


def test_gateway_makes_callers(gateway: LocalGateway) -> None:
    client = gateway.user(role="client")
    assert_status(gateway.call("order_stages.create", as_=client, **STAGE), "permission-denied")
    read = gateway.call("sessions.read", as_=client).data["session"]
    assert read["user_id"] == client.user_id
    without_role = gateway.user(role=None)
    refused = gateway.call("order_stages.create", as_=without_role, **STAGE)
    assert_status(refused, "client-required")
    token = gateway.token("planox2", ["order_stages.*"])
    assert_status(gateway.call("order_stages.create", as_=token, **STAGE), "action-successful")


def test_gateway_mail_is_received_or_fails(gateway: LocalGateway, gateway_mail: Mail) -> None:
    assert_status(gateway.call("order_stages.create", **EVENT), "action-successful")
    [mail] = gateway_mail
    assert (mail.template, mail.answer) == ("order-stage-changed", "sent")
    gateway_mail.fail("payment")
    assert_status(gateway.call("order_stages.create", **EVENT), "mandrill-email-failed")
    assert [received.answer for received in gateway_mail] == ["sent", "PaymentRequired"]
    with pytest.raises(LookupError, match="payment"):
        gateway_mail.fail("pay")


def test_gateway_notifications_are_read_at_once(
    gateway: LocalGateway, gateway_notifications: Notifications
) -> None:
    assert len(gateway_notifications) == 0
    broken = "alter table order_stages rename to lost"
    asyncio.run(execute(gateway.database, broken))
    assert_status(gateway.call("order_stages.create", **STAGE), "application-crash")
    assert [row["route"] for row in gateway_notifications] == ["order_stages.create"]


def test_gateway_server_has_workers_that_follow_an_apply(gateway_server: Gateway) -> None:
    assert_status(gateway_server.call("order_stages.create", **STAGE), "action-successful")
    text = Path("routes.yaml").read_text().replace("deployed: false", "deployed: true")
    gateway_server.apply(text)
    for _ in range(8):
        # The route is deployed now, and has no code.
        assert_status(gateway_server.call("order_stages.index"), "service-not-found")


def reader_of(session: Session) -> ManifestReader:
    return ManifestReader(session.content.desired)


@pytest.mark.parametrize(
    ("path", "code", "body", "complaint"),
    [
        ("/services/statuses/count", 200, {"count": 5}, None),
        ("/services/statuses/count", 200, {"count": "5"}, "does not fit `returns`"),
        ("/services/statuses/count", 418, {"status": "err", "error": "x"}, "the status x (418)"),
        ("/services/statuses/count", 400, {"status": "err", "error": "202"}, None),
        ("/elsewhere", 418, {}, None),
    ],
)
def test_answers_of_other_processes_are_compared_with_the_manifest(
    gateway_session: Session, path: str, code: int, body: dict[str, object], complaint: str | None
) -> None:
    request = httpx2.Request("GET", f"http://gateway{path}")
    response = httpx2.Response(code, content=orjson.dumps(body), request=request)
    found = reader_of(gateway_session).complaint(response)
    assert (found is None) if complaint is None else complaint in (found or "")


def test_running_gateway_has_the_calls_alone(
    gateway: LocalGateway, gateway_session: Session
) -> None:
    with gateway_session.remote(gateway.url + "/") as outside:
        assert_status(outside.call("statuses.count", as_=None), "missing-param")
        with pytest.raises(pytest.skip.Exception, match=r"dev\.json does not have the tokens"):
            outside.call("statuses.count")
        for work in ("user", "database"):
            with pytest.raises(pytest.skip.Exception, match="--gateway-url names"):
                getattr(outside, work)()


def test_databases_that_killed_runs_left_are_dropped(gateway_session: Session) -> None:
    names = ("gateway_test_1_left", "gateway_template_left")

    async def work() -> int:
        connection = await connect(gateway_session.address)
        try:
            databases = Databases(connection, gateway_session.address)
            for name in names:
                await connection.execute(f'create database "{name}" template template0')
            await databases.drop(await databases.create(gateway_session.content))
            count = "select count(*) from pg_database where datname = any ($1)"
            found: int = await connection.fetchval(count, names)
        finally:
            await connection.close()
        return found

    assert gateway_session.loop.run(work()) == 0


LAST_IDS = """
select pg_sequence_last_value(pg_get_serial_sequence('gateway.sessions', 'id')) as sessions,
       pg_sequence_last_value(pg_get_serial_sequence('gateway.application_tokens', 'id')) as tokens
"""


async def test_renewal_of_a_template_uses_up_no_ids(database: str, tokens: dict[str, str]) -> None:
    before = await execute(database, LAST_IDS)
    await on(database, lambda db: demo.renew_tokens(db, tokens, "planoorder"))
    assert await execute(database, LAST_IDS) == before


def test_gateway_calls_an_http_service(
    gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    service = RecordingServer()
    service.reply = JSONResponse({"data": {"booked": True}})
    with served_in_thread(service.app) as address:
        gateway.apply(orjson.dumps(manifest([address])).decode())
        assert gateway.call("tours.book", city="Denver").data == {"booked": True}
        assert orjson.loads(service.bodies[0])["params"] == {"city": "Denver"}
        service.reply = JSONResponse({"status": "tour-full"}, 409)
        assert_status(gateway.call("tours.book", city="Denver"), "tour-full")
    assert_status(gateway.call("tours.book", city="Denver"), "service-unavailable")
