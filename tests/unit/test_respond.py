"""Replies and refusals to bytes: envelopes, key order, headers that nothing can break."""

from urllib.parse import unquote

import orjson
import pytest
from support.builders import NOON, application, request, route, session

from gateway import statuses
from gateway.identity import views
from gateway.registry.table import Match
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
    return respond.success(reply, valid, caller, envelope)


def refused(
    rejection: Rejection,
    *,
    envelope: str = "plano",
    caller: Caller | None = None,
    valid: Valid | None = None,
) -> Response:
    reached = Match(route(envelope=envelope), {})
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
def test_a_plano_success_has_data_where_there_is_data(data: object, body: bytes) -> None:
    assert succeeded(Reply(data)) == Response(200, "action-successful", [], body)


@pytest.mark.parametrize(
    "data", [{"statuses": [{"id": "5", "name": "Nowe"}]}, {"id": 5}, {"count": 5}, [], {}]
)
def test_a_shoplo_success_is_the_service_s_object_as_it_is(data: object) -> None:
    assert succeeded(Reply(data), envelope="shoplo").body == orjson.dumps(data)


def test_times_are_iso_8601_in_utc() -> None:
    body = succeeded(Reply({"at": NOON})).body
    assert orjson.loads(body)["data"] == {"at": "2026-05-04T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("caller", "session_view", "application_view", "more"),
    [
        (USER, None, None, []),
        (USER, "default", None, ["session"]),
        (USER, "default", "default", ["session"]),
        (USER, None, "default", []),
        (MACHINE, "default", "default", ["application"]),
        (MACHINE, "default", None, []),
        (ANONYMOUS, "default", "default", []),
    ],
)
def test_a_view_is_added_if_it_is_asked_for_and_the_token_has_one(
    caller: Caller, session_view: str | None, application_view: str | None, more: list[str]
) -> None:
    valid = Valid({}, (), session_view, application_view)
    assert keys(succeeded(Reply({}), valid, caller)) == ["code", "status", "data", *more]


def test_the_headers_of_a_service_are_added() -> None:
    reply = Reply({}, {"Cache-Control": "max-age=60", "X-Total": "5"})
    headers = [(b"cache-control", b"max-age=60"), (b"x-total", b"5")]
    assert succeeded(reply).headers == headers


def test_a_plano_refusal_has_its_keys_in_the_contract_s_order() -> None:
    response = refused(Rejection("missing-param", "Something is absent.", errors=MISSING))
    assert response.http == 400
    assert response.body == (
        b'{"code":400,"status":"missing-param","message":"Something is absent.",'
        b'"errors":[{"attr":"stage","message":"missing"},'
        b'{"attr":"order.due_date","message":"missing"}],"request_id":"request-1"}'
    )


def test_a_plano_refusal_has_errors_only_where_there_are_some() -> None:
    assert keys(refused(Rejection("invalid-token"))) == ["code", "status", "message", "request_id"]


def test_a_session_stands_before_the_request_id() -> None:
    response = refused(Rejection("client-required", extra={"session": {"id": 1}}))
    assert keys(response) == ["code", "status", "message", "session", "request_id"]


@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_a_refusal_without_words_of_its_own_has_those_of_the_catalogue(envelope: str) -> None:
    body = orjson.loads(refused(Rejection("invalid-token"), envelope=envelope).body)
    words = body["message"] if envelope == "plano" else body["error_msg"]
    assert words == statuses.COMMON["invalid-token"].meaning


def test_a_shoplo_refusal_has_its_keys_in_the_contract_s_order() -> None:
    response = refused(Rejection("missing-param", "Absent.", errors=MISSING[:1]), envelope="shoplo")
    assert response.body == (
        b'{"status":"err","error":"missing-param","error_msg":"Absent.","code":400,'
        b'"errors":[{"attr":"stage","message":"missing"}],"request_id":"request-1"}'
    )


@pytest.mark.parametrize("slug", statuses.COMMON)
def test_a_shoplo_client_finds_the_two_codes_it_looks_for(slug: str) -> None:
    tokens = {"invalid-token", "client-required", "session-required", "permission-denied"}
    expected = "202" if slug in tokens else "251" if slug == "session-expired" else slug
    body = orjson.loads(refused(Rejection(slug), envelope="shoplo").body)
    assert (body["error"], body["code"]) == (expected, statuses.COMMON[slug].http)
    assert list(body) == ["status", "error", "error_msg", "code", "errors", "request_id"]


@pytest.mark.parametrize("slug", statuses.COMMON)
@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_retry_after_stands_on_429_and_503_and_nowhere_else(slug: str, envelope: str) -> None:
    response = refused(Rejection(slug, retry_after=7), envelope=envelope)
    expected = [(b"retry-after", b"7")] if response.http in {429, 503} else []
    assert response.headers == expected


def test_retry_after_names_a_second_where_nobody_knows_better() -> None:
    assert refused(Rejection("service-unavailable")).headers == [(b"retry-after", b"1")]


def ignored(*names: str, envelope: str = "plano") -> bytes | None:
    response = succeeded(Reply({}), Valid({}, names, None, None), envelope=envelope)
    return dict(response.headers).get(b"x-ignored-params")


def test_nothing_is_named_where_nothing_was_ignored() -> None:
    assert ignored() is None


@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_ignored_params_are_named(envelope: str) -> None:
    assert ignored("stgae", "order.notse", envelope=envelope) == b"stgae, order.notse"


@pytest.mark.parametrize(
    "name",
    [
        "x\r\nSet-Cookie: a=b",
        "x\ny",
        "a, b",
        "za\u017c\u00f3\u0142\u0107",
        "\u65e5\u672c",
        "\U0001f600",
        "100%",
        "%0d%0a",
        "\x7f\x1b",
        "\x85\u2028",
        "",
        " ",
        '"',
    ],
    ids=ascii,
)
def test_no_name_can_break_the_header(name: str) -> None:
    header = ignored("before", name, "after")
    assert header is not None
    assert all(0x21 <= byte <= 0x7E or byte == 0x20 for byte in header)
    assert [unquote(each.strip()) for each in header.decode().split(",")] == [
        "before",
        name,
        "after",
    ]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["x" * 1_000_000], id="one-long-name"),
        pytest.param(["\U0001f600" * 10_000] * 3, id="long-names-that-need-encoding"),
        pytest.param([str(number) for number in range(100_000)], id="many-names"),
        pytest.param(["\U0001f600" * 1000] * 1000, id="both"),
    ],
)
def test_the_header_is_bounded_whatever_was_sent(names: list[str]) -> None:
    header = ignored(*names)
    assert header is not None
    assert len(header) <= 16 * 1024
    assert header.count(b", ") <= 20


def test_that_more_was_ignored_is_said() -> None:
    assert ignored(*"abcdefghijklmnopqrst") == b", ".join(
        b"%c" % c for c in b"abcdefghijklmnopqrst"
    )
    assert (ignored(*"abcdefghijklmnopqrstu") or b"").endswith(b"s, t, ...")


def test_the_default_view_of_a_session_has_the_contract_s_fields_in_order() -> None:
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


def test_a_remembered_session_is_shown_without_an_end() -> None:
    assert views.session(session(remember_me=True), "t")["expires_at"] is None


def test_an_application_is_never_shown_with_a_token() -> None:
    assert "token" not in views.application(application())
