"""The Shoplo dialect on a real database: documented exchanges, filters, refusals."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.harness import ROOT, Client, execute

from services.statuses import slug_of

PATH = "/services/statuses"
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
ONE = {
    "id": "1",
    "uuid": "64bc99e9-3f99-417c-a704-81a9fbab0e5e",
    "name": "Nowe",
    "url": "nowe",
    "color": "EC451F",
    "send_mail": "1",
    "mail_template": "1",
    "change_type": "0",
    "created_at": "2011-09-13 18:08:32",
    "updated_at": "2011-09-13 18:08:32",
}
TWO = {
    "id": "2",
    "uuid": "bc279e5b-4b7d-4ba6-82c8-7e259aa74c40",
    "name": "Spakowane",
    "url": "spakowane",
    "color": "BEE5FC",
    "send_mail": "1",
    "mail_template": "2",
    "change_type": "1",
    "created_at": "2011-11-06 20:25:44",
    "updated_at": "2011-11-06 20:25:44",
}
SENT = {name: ONE[name] for name in ("name", "url", "send_mail", "mail_template", "change_type")}

# The documented exchanges: SQL to prepare the rows, request, answer.
EXCHANGES = [
    ("delete from statuses where id > 2", "GET", PATH, None, {"statuses": [ONE, TWO]}),
    ("select", "GET", f"{PATH}/1", None, {"status": ONE}),
    (
        "update orders set status_id = null; truncate statuses restart identity cascade",
        "POST",
        PATH,
        {"status": {**SENT, "color": "1"}},
        {"status": ONE},
    ),
    ("select", "PUT", f"{PATH}/5", {"status": {**SENT, "url": "x", "color": "1"}}, {"id": 5}),
    ("select", "DELETE", f"{PATH}/5", None, {"status": "ok"}),
]


async def call(
    client: Client, method: str, path: str, caller: str = "application", **options: Any
) -> httpx2.Response:
    headers = {"authorization": f"Bearer {client.tokens[caller]}", **options.pop("headers", {})}
    return await client.request(method, path, headers=headers, **options)


async def listed(client: Client, **params: Any) -> list[dict[str, str]]:
    response = await call(client, "GET", PATH, params=params)
    assert response.status_code == 200, response.text
    statuses: list[dict[str, str]] = response.json()["statuses"]
    return statuses


def same(answer: bytes, expected: object) -> bool:
    """Whether an answer is equal byte for byte, except for generated values: a uuid, the times."""
    generated = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    return generated.sub(b"?", answer) == generated.sub(b"?", orjson.dumps(expected))


@pytest.mark.parametrize(("before", "method", "path", "body", "answer"), EXCHANGES)
async def test_shoplo_exchanges_are_as_documented(
    client: Client, before: str, method: str, path: str, body: Any, answer: Any
) -> None:
    for statement in before.split(";"):
        await execute(client.database_url, statement)
    response = await call(client, method, path, **({"json": body} if body else {}))
    assert (response.status_code, response.reason_phrase) == (200, "OK")
    assert same(response.content, answer)
    if "truncate" not in before:
        assert response.content == orjson.dumps(answer)


async def test_shoplo_bracket_forms_work_like_json(client: Client) -> None:
    form = "status[name]=Zwr%C3%B3cone&status[color]=BEE5FC&status[send_mail]=1"
    status = (await call(client, "POST", PATH, content=form, headers=FORM)).json()["status"]
    assert (status["name"], status["url"], status["color"], status["send_mail"]) == (
        *("Zwrócone", "zwrocone", "BEE5FC", "1"),
    )
    changed = await call(
        client, "PUT", f"{PATH}/{status['id']}", content="status[name]=Inne", headers=FORM
    )
    assert changed.json() == {"id": int(status["id"])}
    for method in ("GET", "DELETE"):
        response = await call(client, method, f"{PATH}/{status['id']}", headers=FORM)
        assert response.status_code == 200


async def test_shoplo_token_may_be_a_query_param(client: Client) -> None:
    response = await client.request("GET", PATH, params={"token": client.tokens["client"]})
    assert len(response.json()["statuses"]) == 5


async def test_shoplo_json_numbers_are_accepted_for_text(client: Client) -> None:
    status = {"name": "A", "color": 2, "send_mail": 1, "mail_template": 7, "change_type": 0}
    created = (await call(client, "POST", PATH, json={"status": status})).json()["status"]
    assert [created[name] for name in status] == ["A", "BEE5FC", "1", "7", "0"]


async def test_status_url_in_use_gets_a_numeric_suffix(client: Client) -> None:
    urls = [
        (await call(client, "POST", PATH, json={"status": {"name": "Nowe!"}})).json()["status"][
            "url"
        ]
        for _ in range(3)
    ]
    assert urls == ["nowe-2", "nowe-3", "nowe-4"]


async def url_of(client: Client, status_id: int) -> str:
    status = (await call(client, "GET", f"{PATH}/{status_id}")).json()["status"]
    url: str = status["url"]
    return url


async def test_status_url_that_is_given_and_in_use_gets_a_suffix_too(client: Client) -> None:
    for url in ("nowe-2", "nowe-3"):
        created = await call(client, "POST", PATH, json={"status": SENT})
        assert created.json()["status"]["url"] == url
    assert (await call(client, "PUT", f"{PATH}/2", json={"status": SENT})).json() == {"id": 2}
    assert await url_of(client, 2) == "nowe-4"
    # Its own url is not taken by another status, whether or not it has a suffix.
    for status_id, url in ((1, "nowe"), (2, "nowe-4")):
        await call(client, "PUT", f"{PATH}/{status_id}", json={"status": {"url": url}})
        assert await url_of(client, status_id) == url
    await call(client, "PUT", f"{PATH}/2", json={"status": {"url": "nowe"}})
    assert await url_of(client, 2) == "nowe-4"


async def test_status_url_that_is_given_becomes_a_slug(client: Client) -> None:
    created = await call(client, "POST", PATH, json={"status": {"name": "A", "url": "Ą b/c"}})
    assert created.json()["status"]["url"] == "a-b-c"
    await call(client, "PUT", f"{PATH}/2", json={"status": {"url": "Łódź!"}})
    assert await url_of(client, 2) == "lodz"


async def test_status_urls_of_concurrent_creates_and_updates_are_unique(client: Client) -> None:
    answers = await asyncio.gather(
        *(call(client, "POST", PATH, json={"status": {"name": "X", "url": "x"}}) for _ in range(9)),
        *(call(client, "POST", PATH, json={"status": {"name": "x-2"}}) for _ in range(9)),
        *(call(client, "PUT", f"{PATH}/{n}", json={"status": {"url": "x"}}) for n in range(1, 6)),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({status["url"] for status in await listed(client)}) == 23


async def test_status_create_with_an_idempotency_key_is_done_once(client: Client) -> None:
    answers = [
        await call(client, "POST", PATH, json={"status": SENT}, headers={"idempotency-key": "once"})
        for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert [a.headers.get("idempotent-replayed") for a in answers] == [None, "true"]
    assert len(await listed(client)) == 6


async def test_status_urls_of_concurrent_creates_are_unique(client: Client) -> None:
    body = {"status": {"name": "Razem"}}
    responses = await asyncio.gather(*(call(client, "POST", PATH, json=body) for _ in range(5)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["status"]["url"] for response in responses}) == 5


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Wysłane", "wyslane"),
        ("Zażółć gęślą jaźń", "zazolc-gesla-jazn"),
        ("ŁÓDŹ", "lodz"),
        ("  A -- b!", "a-b"),
        ("漢字", "status"),
    ],
)
def test_status_url_replaces_polish_letters(name: str, slug: str) -> None:
    assert slug_of(name) == slug


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("GET", "?limit=0", {}, "limit"),
    ("GET", "?limit=251", {}, "limit"),
    ("GET", "?page=0", {}, "page"),
    ("GET", "?page=x", {}, "page"),
    ("GET", "?since_id=x", {}, "since_id"),
    ("GET", "?created_at_min=2011-06-19", {}, "created_at_min"),
    ("GET", "?updated_at_max=2011-02-30 00:00:00", {}, "updated_at_max"),
    ("GET", "/99", {}, "id"),
    ("GET", "/9223372036854775808", {}, "id"),
    ("PUT", "/99", {"json": {"status": {"name": "A"}}}, "id"),
    ("DELETE", "/99", {}, "id"),
    ("POST", "", {"json": {"status": {"name": ""}}}, "status.name"),
    ("POST", "", {"json": {"status": {"name": "   "}}}, "status.name"),
    ("PUT", "/1", {"json": {"status": {"name": " \t"}}}, "status.name"),
    ("POST", "", {"json": {"status": {"name": "A", "color": "3"}}}, "status.color"),
    ("POST", "", {"json": {"status": {"name": "A", "color": "ff"}}}, "status.color"),
    ("POST", "", {"json": {"status": {"name": "A", "send_mail": "2"}}}, "status.send_mail"),
    ("POST", "", {"json": {"status": {"name": "A", "mail_template": "x"}}}, "status.mail_template"),
    ("POST", "", {"json": {"status": "ok"}}, "status"),
]


@pytest.mark.parametrize(("method", "path", "options", "attr"), REFUSED)
async def test_shoplo_invalid_value_is_refused_with_its_attr(
    client: Client, method: str, path: str, options: dict[str, Any], attr: str
) -> None:
    response = await call(client, method, f"{PATH}{path}", **options)
    body = response.json()
    assert (response.status_code, body["status"], body["error"]) == (400, "err", "invalid-param")
    assert [error["attr"] for error in body["errors"]] == [attr]


async def test_shoplo_blank_name_is_refused_in_words(client: Client) -> None:
    for method, path in (("POST", ""), ("PUT", "/1")):
        response = await call(client, method, f"{PATH}{path}", json={"status": {"name": "   "}})
        expected = [{"attr": "status.name", "message": "must not be blank"}]
        assert response.json()["errors"] == expected


async def test_shoplo_create_without_a_name_is_refused(client: Client) -> None:
    bodies: list[dict[str, Any]] = [{"status": {}}, {"stat": 1}]
    for body in bodies:
        answer = (await call(client, "POST", PATH, json=body)).json()
        assert answer["error"] == "missing-param"


async def test_shoplo_token_errors_have_shoplo_codes(client: Client) -> None:
    unknown = await client.request("GET", PATH, params={"token": "plano_app_" + "x" * 43})
    assert (unknown.status_code, unknown.json()["error"]) == (401, "202")
    expired = await call(client, "GET", PATH, "expired")
    assert (expired.status_code, expired.json()["error"]) == (401, "251")
    absent = await client.request("GET", PATH)
    assert (absent.status_code, absent.json()["error"]) == (400, "202")
    assert absent.json()["errors"] == [{"attr": "token", "message": "missing"}]
    nameless = await call(client, "POST", PATH, "employee", json={"status": {"color": "1"}})
    assert nameless.json()["error"] == "missing-param"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{PATH}/abc"),
        ("GET", f"{PATH}/007"),
        ("GET", f"{PATH}/1/"),
        ("GET", f"{PATH}/99999999999999999999"),
        ("PATCH", f"{PATH}/1"),
        ("GET", "/services"),
        ("GET", "/services/products"),
        ("GET", "/services//%ff"),
    ],
)
async def test_shoplo_unknown_path_is_answered_in_shoplo_s_envelope(
    client: Client, method: str, path: str
) -> None:
    answer = await call(client, method, path)
    body = answer.json()
    assert (answer.status_code, body["status"], body["error"]) == (
        *(500, "err"),
        "route-non-existent",
    )


async def test_other_unknown_paths_are_answered_in_plano_s_envelope(client: Client) -> None:
    for path in ("/", "/service", "/api/v1/nothing", "/servicesx/1"):
        assert (await call(client, "GET", path)).json()["status"] == "route-non-existent"


async def test_status_in_use_by_orders_cannot_be_deleted(client: Client) -> None:
    response = await call(client, "DELETE", f"{PATH}/2")
    assert (response.status_code, response.json()["error"]) == (409, "status-in-use")
    assert len(await listed(client)) == 5
    await execute(client.database_url, "update orders set status_id = null")
    assert (await call(client, "DELETE", f"{PATH}/2")).json() == {"status": "ok"}
    assert len(await listed(client)) == 4


async def test_status_updates_at_the_same_time_lose_no_field(client: Client) -> None:
    changes = [{"name": f"N{n}"} if n % 2 else {"color": f"{n:06d}"} for n in range(20)]
    bodies = [{"status": change} for change in changes]
    await asyncio.gather(*(call(client, "PUT", f"{PATH}/1", json=body) for body in bodies))
    status = (await call(client, "GET", f"{PATH}/1")).json()["status"]
    assert status["name"].startswith("N")
    assert status["color"].startswith("0000")
    assert status["url"] == "nowe"


async def test_shoplo_fields_ignores_unknown_names_and_keeps_the_column_order(
    client: Client,
) -> None:
    assert await listed(client, fields="color,id,nothing", limit=1) == [
        {"id": "1", "color": "EC451F"}
    ]


@pytest.mark.parametrize("path", [PATH, f"{PATH}/1"])
async def test_shoplo_unknown_fields_are_named_as_ignored(client: Client, path: str) -> None:
    async def answered(fields: str) -> tuple[list[str], str | None]:
        response = await call(client, "GET", path, params={"fields": fields})
        body = response.json()
        status = body["status"] if "status" in body else body["statuses"][0]
        return [*status], response.headers.get("x-ignored-params")

    assert await answered("nope,id,nöpe") == (["id"], "fields.nope, +1")
    assert await answered("nope") == ([*ONE], "fields.nope")
    assert await answered("") == ([*ONE], None)
    assert await answered("id,") == (["id"], None)


async def test_since_id_pages_are_stable_while_rows_are_inserted(client: Client) -> None:
    seen: list[str] = []
    while page := await listed(client, limit=2, since_id=seen[-1] if seen else 0):
        seen += [status["id"] for status in page]
        if len(seen) < 8:
            await call(client, "POST", PATH, json={"status": {"name": "Dalej"}})
    assert seen == [str(n) for n in range(1, len(seen) + 1)]
    assert len(seen) >= 8


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 4),
        st.integers(0, 4),
        st.sets(st.sampled_from("XY")),
    ),
    max_size=8,
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from("abcd"),
        "sku": st.sampled_from("XYZ"),
        "since_id": st.integers(0, 9),
        "limit": st.integers(1, 4),
        "page": st.integers(1, 4),
        **{
            f"{what}_at_{end}": st.integers(0, 4)
            for what in ("created", "updated")
            for end in ("min", "max")
        },
    },
)
START = datetime(2020, 1, 1, tzinfo=UTC)


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def passes(row: dict[str, Any], filters: dict[str, Any]) -> bool:
    """Whether a row passes the filters, as the documentation words them."""
    return (
        row["id"] > filters.get("since_id", -1)
        and filters.get("name") in (None, row["name"])
        and (filters.get("sku") is None or filters["sku"] in row["skus"])
        and row["created"] > filters.get("created_at_min", -1)
        and row["created"] < filters.get("created_at_max", 99)
        and row["updated"] > filters.get("updated_at_min", -1)
        and row["updated"] < filters.get("updated_at_max", 99)
    )


async def test_shoplo_filters_agree_with_a_model(client: Client) -> None:
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(ROWS, FILTERS)
    def check(rows: list[Any], chosen: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(compare(client, rows, chosen), loop).result(30)

    await asyncio.to_thread(check)


async def compare(client: Client, rows: list[Any], chosen: dict[str, Any]) -> None:
    model = [
        {"id": n, "name": name, "created": created, "updated": updated, "skus": skus}
        for n, (name, created, updated, skus) in enumerate(rows, 1)
    ]
    await insert_rows(client, model)
    times = {k: str(at(v))[:19] for k, v in chosen.items() if k.endswith(("min", "max"))}
    limit, page = chosen.get("limit", 50), chosen.get("page", 1)
    expected = [str(row["id"]) for row in model if passes(row, chosen)]
    statuses = await listed(client, **{**chosen, **times})
    assert [status["id"] for status in statuses] == expected[(page - 1) * limit : page * limit]
    filters = {k: v for k, v in {**chosen, **times}.items() if k not in ("limit", "page")}
    counted = await call(client, "GET", f"{PATH}/count", params=filters)
    assert counted.json() == {"count": len(expected)}


async def insert_rows(client: Client, model: list[dict[str, Any]]) -> None:
    """Replace all statuses with the model's; an order with each status holds its SKUs."""
    url = client.database_url
    await execute(url, "update orders set status_id = null")
    await execute(url, "delete from line_items")
    await execute(url, "delete from statuses")
    insert = (
        "insert into statuses (id, name, url, color, created_at, updated_at) "
        "values ($1, $2, 'u' || $1::bigint, 'EC451F', $3, $4)"
    )
    for row in model:
        await execute(url, insert, row["id"], row["name"], at(row["created"]), at(row["updated"]))
        await execute(url, "update orders set status_id = $1 where id = $1", row["id"])
        for sku in row["skus"]:
            line = "insert into line_items (order_id, sku) values ($1, $2)"
            await execute(url, line, row["id"], sku)


def test_gateway_code_does_not_mention_the_statuses_service() -> None:
    mention = re.compile(r"services/statuses|statuses\.(index|create|update|delete)|shop_?status")
    files = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "gateway").rglob("*.sql")]
    assert not [file.name for file in files if mention.search(file.read_text())]
