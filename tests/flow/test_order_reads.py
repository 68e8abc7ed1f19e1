"""Reading what order_stages.create wrote: an order's status, and its stages."""

import re
from typing import Any

import httpx2
import orjson
import pytest
from support.harness import ROOT, Client, execute

READ = "/api/v1/order_statuses/read"
HISTORY = "/api/v1/order_stages/history"
BOTH = pytest.mark.parametrize("path", [READ, HISTORY])
OTHERS_ORDER = 99
"""An order of the demo whose client is not the user of the token `client`."""


async def call(client: Client, path: str, /, caller: str = "employee", **params: Any) -> Any:
    response = await client.post(path, {"token": client.tokens[caller], **params})
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def refusal(
    client: Client, path: str, /, caller: str = "employee", **params: Any
) -> tuple[str, list[Any]]:
    response = await client.post(path, {"token": client.tokens[caller], **params})
    return response.json()["status"], response.json().get("errors", [])


async def created(client: Client, /, **params: Any) -> Any:
    response: httpx2.Response = await client.create_stage(**params)
    assert response.status_code == 200, response.text
    return response.json()["data"]


@pytest.mark.parametrize("params", [{"order_id": 7}, {"order_request_id": 1007}])
async def test_order_status_is_read_as_create_answered_it(
    client: Client, params: dict[str, Any]
) -> None:
    order = {"services_addon_array": ["a", {"n": 1}]}
    written = await created(client, order_id=7, stage_at_mt="07/04/2026 8:00 PM", order=order)
    answer = await call(client, READ, **params)
    assert orjson.dumps(answer["order_status"]) == orjson.dumps(written["order_status"])


async def test_order_status_answer_is_compact(client: Client) -> None:
    await created(client, order_id=7, order={"services_addon_array": ["a", "b"]})
    params = {"token": client.tokens["employee"], "order_id": 7}
    response = await client.post(READ, params)
    assert response.content == orjson.dumps(response.json())


async def test_order_status_without_a_stage_is_null(client: Client) -> None:
    await created(client, order_id=7, update_status=False)
    assert await call(client, READ, order_id=7) == {"order_status": None}


async def test_order_history_is_newest_first_as_create_answered_it(client: Client) -> None:
    written = [
        (await created(client, order_id=7, stage=f"s{n}", update_status=n == 1))["order_stage"]
        for n in range(3)
    ]
    await created(client, order_id=8)
    either: list[dict[str, Any]] = [{"order_id": 7}, {"order_request_id": 1007}]
    for params in either:
        answer = await call(client, HISTORY, **params)
        assert answer == {"results": written[::-1]}
        assert [*answer["results"][0]] == [*written[0]]


async def test_order_history_is_split_into_pages(client: Client) -> None:
    await execute(
        client.database_url,
        "insert into order_stages (order_request_id, stage, stage_start_at, created_at_fm) "
        "select 1007, 's' || n, now(), now() from generate_series(1, 260) n",
    )

    async def stages(**page: int) -> list[str]:
        results = (await call(client, HISTORY, order_id=7, page=page))["results"]
        return [result["stage"] for result in results]

    newest_first = [f"s{n}" for n in range(260, 0, -1)]
    assert await stages() == newest_first[:50]
    assert await stages(number=2) == newest_first[50:100]
    assert await stages(size=250) == newest_first[:250]
    assert await stages(size=250, number=2) == newest_first[250:]
    assert await stages(size=100, number=4) == []
    assert await stages(size=250, number=2**63 - 1) == []
    answer = await call(client, HISTORY, order_id=7, count=True, page={"size": 1})
    assert (answer["count"], len(answer["results"])) == (260, 1)
    assert "count" not in await call(client, HISTORY, order_id=7, count=False)


async def test_order_history_of_an_order_without_stages_is_empty(client: Client) -> None:
    answer = await call(client, HISTORY, order_request_id=1105, count=True)
    assert answer == {"results": [], "count": 0}


@pytest.mark.parametrize(
    ("page", "attr"),
    [
        ({"size": 0}, "page.size"),
        ({"size": 251}, "page.size"),
        ({"number": 0}, "page.number"),
        ({"number": "x"}, "page.number"),
        (3, "page"),
    ],
)
async def test_order_history_page_out_of_range_is_refused(
    client: Client, page: object, attr: str
) -> None:
    status, errors = await refusal(client, HISTORY, order_id=7, page=page)
    assert (status, [error["attr"] for error in errors]) == ("invalid-param", [attr])


@BOTH
async def test_order_reads_without_either_id_report_both_as_missing(
    client: Client, path: str
) -> None:
    status, errors = await refusal(client, path)
    assert status == "missing-param"
    assert {error["attr"] for error in errors} == {"order_id", "order_request_id"}


@BOTH
@pytest.mark.parametrize(
    ("params", "attr", "message"),
    [
        ({"order_id": 4711}, "order_id", "unknown order"),
        ({"order_request_id": 4711}, "order_request_id", "unknown order request"),
        (
            {"order_id": 7, "order_request_id": 1008},
            "order_request_id",
            "belongs to another order than order_id",
        ),
        (
            {"order_id": 7, "order_request_id": 1105},
            "order_request_id",
            "belongs to another order than order_id",
        ),
    ],
)
async def test_order_reads_of_an_unknown_order_are_refused(
    client: Client, path: str, params: dict[str, Any], attr: str, message: str
) -> None:
    assert await refusal(client, path, **params) == (
        "invalid-param",
        [{"attr": attr, "message": message}],
    )


@BOTH
@pytest.mark.parametrize("caller", ["employee", "liaison", "application"])
async def test_order_reads_of_staff_and_applications_show_every_order(
    client: Client, path: str, caller: str
) -> None:
    await created(client, order_id=OTHERS_ORDER)
    answer = await call(client, path, caller, order_id=OTHERS_ORDER)
    [part] = answer.values()
    assert part


@BOTH
async def test_order_reads_of_a_client_show_the_client_s_own_orders(
    client: Client, path: str
) -> None:
    await created(client, order_id=7)
    for params in (
        {"order_id": 7},
        {"order_request_id": 1007},
        {"order_id": 7, "order_request_id": 1007},
    ):
        [part] = (await call(client, path, "client", **params)).values()
        assert part
    [part] = (await call(client, path, "client", order_request_id=1105)).values()
    assert not part


@BOTH
async def test_order_reads_of_a_client_say_that_another_client_s_order_is_unknown(
    client: Client, path: str
) -> None:
    await created(client, order_id=OTHERS_ORDER)
    for other, unknown in (
        ({"order_id": OTHERS_ORDER}, {"order_id": 4711}),
        ({"order_request_id": 1099}, {"order_request_id": 4711}),
        ({"order_id": 7, "order_request_id": 1099}, {"order_id": 7, "order_request_id": 4711}),
        (
            {"order_id": OTHERS_ORDER, "order_request_id": 1007},
            {"order_id": 4711, "order_request_id": 1007},
        ),
    ):
        refused = await refusal(client, path, "client", **other)
        assert refused[0] == "invalid-param"
        assert refused == await refusal(client, path, "client", **unknown)


@BOTH
async def test_order_reads_follow_the_order_s_client_before_that_of_its_request(
    client: Client, path: str
) -> None:
    await execute(client.database_url, "update orders set client_id = 2 where id = 7")
    status, _ = await refusal(client, path, "client", order_request_id=1007)
    assert status == "invalid-param"
    await execute(client.database_url, "update orders set client_id = null where id = 7")
    await call(client, path, "client", order_id=7)


@BOTH
async def test_order_reads_refuse_clients_in_an_application_without_them(
    client: Client, path: str
) -> None:
    status, _ = await refusal(client, path, "client", order_id=7, application="planox2")
    assert status == "permission-denied"
    status, _ = await refusal(client, path, "nobody", order_id=7)
    assert status == "client-required"


def shape(value: Any) -> Any:
    """The keys of a JSON value, in their order."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    return [shape(inner) for inner in value] if isinstance(value, list) else None


async def test_order_pages_show_answers_with_the_keys_of_real_ones(client: Client) -> None:
    pages = {
        "order-stages-create": await client.create_stage(order_id=7),
        "order-statuses-read": await client.post(
            READ, {"token": client.tokens["employee"], "order_id": 7}
        ),
        "order-stages-history": await client.post(
            HISTORY, {"token": client.tokens["employee"], "order_id": 7, "count": True}
        ),
    }
    for page, answer in pages.items():
        text = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
        [example] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        assert shape(orjson.loads(example)) == shape(answer.json()), page
