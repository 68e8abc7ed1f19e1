"""Replies and refusals as bytes: envelopes, the order of keys, and safe headers."""

import orjson
import pytest
from support.builders import NOON, application, match, request, route, session

from gateway import statuses
from gateway.identity import views
from gateway.registry.records import ApplicationRecord
from gateway.stages import respond
from gateway.stages.respond import Trace
from gateway.values import ANONYMOUS, Caller, Rejection, Reply, Response, Valid

PLAIN = Valid({}, (), None, None)
USER = Caller("plano_ses_x", session(), None, "planoorder", "client")
MACHINE = Caller("plano_app_x", None, application(), "planoorder", None)
MISSING = [Rejection.error("stage", "missing"), Rejection.error("order.due_date", "missing")]


def succeeded(
    reply: Reply, valid: Valid = PLAIN, caller: Caller = ANONYMOUS, envelope: str = "plano"
) -> Response:
    return respond.success(reply, valid, caller, match(route(envelope=envelope)))


def refused(
    rejection: Rejection,
    *,
    envelope: str = "plano",
    caller: Caller | None = None,
    valid: Valid | None = None,
) -> Response:
    reached = match(route(envelope=envelope))
    trace = Trace(match=reached, caller=caller, valid=valid)
    return respond.refusal(rejection, request(), trace)


def keys(response: Response) -> list[str]:
    return list(orjson.loads(response.body))


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"id": 5}, b'{"code":200,"status":"action-successful","data":{"id":5}}'),
        ({}, b'{"code":200,"status":"action-successful","data":{}}'),
        ([], b'{"code":200,"status":"action-successful","data":[]}'),
        (0, b'{"code":200,"status":"action-successful","data":0}'),
        (False, b'{"code":200,"status":"action-successful","data":false}'),
        (None, b'{"code":200,"status":"action-successful"}'),
    ],
)
def test_respond_plano_success_has_data_if_the_reply_has_data(data: object, body: bytes) -> None:
    assert succeeded(Reply(data)) == Response(200, "action-successful", [], body)


@pytest.mark.parametrize(
    "data", [{"statuses": [{"id": "5", "name": "Nowe"}]}, {"id": 5}, {"count": 5}, [], {}]
)
def test_respond_shoplo_success_is_the_service_s_data_unchanged(data: object) -> None:
    assert succeeded(Reply(data), envelope="shoplo").body == orjson.dumps(data)


def test_respond_times_are_iso_8601_in_utc() -> None:
    body = succeeded(Reply({"at": NOON})).body
    assert orjson.loads(body)["data"] == {"at": "2026-05-04T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("caller", "session_view", "application_view", "more"),
    [
        (USER, None, None, []),
        (USER, "default", None, ["session"]),
        (USER, "default", "default", ["session", "application"]),
        (USER, None, "default", ["application"]),
        (USER._replace(application_slug="gone"), None, "default", []),
        (MACHINE, "default", "default", ["application"]),
        (MACHINE, "default", None, []),
        (ANONYMOUS, "default", "default", []),
    ],
)
def test_respond_adds_a_requested_view_that_the_token_has(
    caller: Caller, session_view: str | None, application_view: str | None, more: list[str]
) -> None:
    valid = Valid({}, (), session_view, application_view)
    assert keys(succeeded(Reply({}), valid, caller)) == ["code", "status", "data", *more]


def test_respond_adds_the_headers_of_a_reply() -> None:
    reply = Reply({}, {"Cache-Control": "max-age=60", "X-Total": "5"})
    headers = [(b"cache-control", b"max-age=60"), (b"x-total", b"5")]
    assert succeeded(reply).headers == headers


def test_respond_plano_refusal_has_the_documented_order_of_keys() -> None:
    response = refused(Rejection("missing-param", "Something is absent.", errors=MISSING))
    assert response.http == 400
    assert response.body == (
        b'{"code":400,"status":"missing-param","message":"Something is absent.",'
        b'"errors":[{"attr":"stage","message":"missing"},'
        b'{"attr":"order.due_date","message":"missing"}],"request_id":"request-1"}'
    )


def test_respond_plano_refusal_without_errors_has_no_such_key() -> None:
    assert keys(refused(Rejection("invalid-token"))) == ["code", "status", "message", "request_id"]


def test_respond_session_comes_before_the_request_id() -> None:
    response = refused(Rejection("client-required", extra={"session": {"id": 1}}))
    assert keys(response) == ["code", "status", "message", "session", "request_id"]


@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_respond_refusal_without_a_message_has_the_catalogue_s_meaning(envelope: str) -> None:
    body = orjson.loads(refused(Rejection("invalid-token"), envelope=envelope).body)
    message = body["message"] if envelope == "plano" else body["error_msg"]
    assert message == statuses.COMMON["invalid-token"].meaning


def test_respond_shoplo_refusal_has_the_documented_order_of_keys() -> None:
    response = refused(Rejection("missing-param", "Absent.", errors=MISSING[:1]), envelope="shoplo")
    assert response.body == (
        b'{"status":"err","error":"missing-param","error_msg":"Absent.","code":400,'
        b'"errors":[{"attr":"stage","message":"missing"}],"request_id":"request-1"}'
    )


@pytest.mark.parametrize("slug", statuses.COMMON)
def test_respond_shoplo_refusal_has_the_code_that_clients_test_for(slug: str) -> None:
    tokens = {"invalid-token", "client-required", "session-required", "permission-denied"}
    expected = "202" if slug in tokens else "251" if slug == "session-expired" else slug
    body = orjson.loads(refused(Rejection(slug), envelope="shoplo").body)
    assert (body["error"], body["code"]) == (expected, statuses.COMMON[slug].http)
    assert list(body) == ["status", "error", "error_msg", "code", "errors", "request_id"]


@pytest.mark.parametrize("slug", statuses.COMMON)
def test_respond_shoplo_refusal_names_no_field_that_it_does_not_have(slug: str) -> None:
    body = orjson.loads(refused(Rejection(slug), envelope="shoplo").body)
    assert "`session`" not in body["error_msg"]
    assert "in this answer" not in body["error_msg"]


@pytest.mark.parametrize("slug", statuses.COMMON)
@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_respond_retry_after_is_set_on_429_and_503_only(slug: str, envelope: str) -> None:
    response = refused(Rejection(slug, retry_after=7), envelope=envelope)
    expected = [(b"retry-after", b"7")] if response.http in {429, 503} else []
    assert response.headers == expected


def test_respond_retry_after_defaults_to_one_second() -> None:
    assert refused(Rejection("service-unavailable")).headers == [(b"retry-after", b"1")]


def ignored(*names: str, envelope: str = "plano") -> bytes | None:
    response = succeeded(Reply({}), Valid({}, names, None, None), envelope=envelope)
    return dict(response.headers).get(b"x-ignored-params")


def test_ignored_params_header_is_absent_if_none_was_ignored() -> None:
    assert ignored() is None


@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_ignored_params_header_names_them(envelope: str) -> None:
    assert ignored("stgae", "order.notse", envelope=envelope) == b"stgae, order.notse"


@pytest.mark.parametrize(
    "name",
    [
        "x\r\nSet-Cookie: a=b",
        "x\ny",
        "a, b",
        "za\u017c\u00f3\u0142\u0107",
        "\u0661",
        "100%",
        "\x7f\x1b",
        "",
        " ",
        '"',
        '{"token":"plano_ses_x',
        "x" * 33,
        "plano_ses_x",
        "order.plano_app_x",
        "order[plano_ses_x]",
        "old-plano_ses_x",
        "eyJhIjoiaHVudGVyMiJ9",
        "order.eyJhIjoiaHVudGVyMiJ9",
        "eyAiYSI6MX0",
        "ewogICJhIjogMX0",
        "ZXlKaElqb3hmUQ",
    ],
    ids=ascii,
)
def test_ignored_params_header_counts_what_does_not_look_like_a_name(name: str) -> None:
    assert ignored("before", name, "after", name) == b"before, after, +2"
    assert ignored(name) == b"+1"


@pytest.mark.parametrize(
    "name",
    ["stagee", "Order", "a-b", "appointment.appt_id", "items[0]", "x" * 32, "eyebrow", "planorder"],
)
def test_ignored_params_header_shows_what_looks_like_a_name(name: str) -> None:
    assert ignored(name) == name.encode()


def test_ignored_params_header_has_those_of_the_reply_too() -> None:
    response = succeeded(Reply({}, ignored=("order", "client")), Valid({}, ("a",), None, None))
    assert response.headers == [(b"x-ignored-params", b"a, order, client")]
    response = succeeded(Reply({}, {"X-Total": "5"}, ignored=("order",)))
    assert response.headers == [(b"x-total", b"5"), (b"x-ignored-params", b"order")]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["x" * 1_000_000], id="one-long-name"),
        pytest.param(["\U0001f600" * 10_000] * 3, id="long-names-that-need-encoding"),
        pytest.param([str(number) for number in range(100_000)], id="many-names"),
        pytest.param(["\U0001f600" * 1000] * 1000, id="both"),
    ],
)
def test_ignored_params_header_is_bounded_whatever_was_sent(names: list[str]) -> None:
    header = ignored(*names)
    assert header is not None
    assert len(header) <= 1024
    assert header.count(b", ") <= 20


def test_ignored_params_header_ends_with_a_count_if_there_are_more() -> None:
    assert ignored(*"abcdefghijklmnopqrst") == b", ".join(
        b"%c" % c for c in b"abcdefghijklmnopqrst"
    )
    assert (ignored(*"abcdefghijklmnopqrstu") or b"").endswith(b"s, t, +1")


def test_session_view_has_the_documented_fields_in_order() -> None:
    assert list(views.session(session(), "plano_ses_x").items()) == [
        ("id", 1),
        ("token", "plano_ses_x"),
        ("user_id", 2),
        ("first_name", "Ben"),
        ("last_name", "Stone"),
        ("email", "client@example.com"),
        ("application", "planoorder"),
        ("roles", ("client",)),
        ("remember_me", False),
        ("created_at", NOON),
        ("last_used_at", NOON),
        ("expires_at", NOON.replace(day=7)),
    ]


def test_session_view_of_a_remembered_session_has_no_end() -> None:
    assert views.session(session(remember_me=True), "t")["expires_at"] is None


RECORD = ApplicationRecord(slug="a", title="A", roles=frozenset({"liaison", "client"}))


def test_application_view_of_a_token_has_the_documented_fields_in_order() -> None:
    assert list(views.application(RECORD, application()).items()) == [
        ("id", 3),
        ("slug", "a"),
        ("name", "A"),
        ("roles", ["client", "liaison"]),
        ("routes", ("*",)),
        ("created_at", NOON),
    ]


def test_application_view_of_a_session_has_no_fields_of_a_token() -> None:
    assert views.application(RECORD, None) == {
        "slug": "a",
        "name": "A",
        "roles": ["client", "liaison"],
    }
