"""The pages of the documentation, made from the registry that the worker serves."""

import asyncio
from pathlib import Path

import pytest
from support.harness import Client, on, serving
from support.html import Page
from support.seed import PAGE as SEED_PARAMS

from gateway import statuses
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check

CREATE = "/documentation/api/v1/order_stages/create"

COMMON = {
    "action-successful": 200,
    "invalid-token": 401,
    "session-expired": 401,
    "client-required": 401,
    "missing-param": 400,
    "invalid-param": 400,
    "application-crash": 500,
    "mandrill-email-failed": 500,
    "invalid-content-type": 400,
    "route-non-existent": 500,
}
UNCOMMON = [
    *("no-params-decoded", "invalid-encoded-params", "route-not-found", "identify-request-error"),
    "service-not-found",
]


async def page(client: Client, path: str, code: int = 200) -> Page:
    answer = await client.get_page(path)
    assert answer.status_code == code
    return Page(answer.text)


async def test_route_page_has_the_params_of_the_seed(client: Client) -> None:
    shown = await page(client, CREATE)
    for line in SEED_PARAMS.strip().splitlines():
        name, kind, order, flag = (cell.strip() for cell in line.split("|"))
        title = shown.ids[f"param.{name}"]
        assert title.all("span", "type")[0].text == kind
        assert [mark.text for mark in title.all("span", "order")] == ([order] if order else [])
        assert ("required" in title.text.split()) == (flag == "required")


async def test_route_page_has_the_params_in_the_order_of_the_seed(client: Client) -> None:
    shown = await page(client, CREATE)
    names = [name.removeprefix("param.") for name in shown.ids if name.startswith("param.")]
    assert names == [line.split("|")[0].strip() for line in SEED_PARAMS.strip().splitlines()]


async def test_route_page_lists_the_applications_as_possible_values(client: Client) -> None:
    shown = await page(client, CREATE)
    parent = shown.ids["param.application"].parent
    assert parent
    values = [value.text for group in parent.all("ul", "values") for value in group.all("li")]
    assert values == ["planoauth", "planoorder", "planox2"]


async def test_route_page_has_the_statuses_of_the_seed_the_uncommon_ones_apart(
    client: Client,
) -> None:
    shown = await page(client, CREATE)
    order = [name.removeprefix("status.") for name in shown.ids if name.startswith("status.")]
    ours = [status.slug for status in statuses.catalogue() if not status.seed]
    assert order == [*COMMON, *UNCOMMON, *ours]
    for slug, code in COMMON.items():
        assert shown.ids[f"status.{slug}"].text == f"{slug} {code}"
    places = list(shown.ids)
    assert places.index("status.route-non-existent") < places.index("uncommon")
    assert places.index("uncommon") < places.index("status.no-params-decoded")
    assert places.index("status.service-not-found") < places.index("gateway")


async def test_every_page_that_a_page_links_to_exists(client: Client) -> None:
    seen, pending = set(), ["/documentation"]
    while pending:
        path = pending.pop()
        answer = await client.get_page(path)
        assert answer.status_code == 200, path
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        shown = Page(answer.text)
        for link in shown.links():
            target, _, anchor = link.partition("#")
            if target.startswith("/documentation") and target not in seen:
                seen.add(target)
                pending.append(target)
            assert target or anchor in shown.ids, (path, link)
    assert len(seen) > 20


async def test_help_of_a_refusal_is_a_place_on_a_page(client: Client) -> None:
    refusals = [
        await client.create_stage(stage=...),
        await client.post("/api/v1/unknown", {}),
        await client.request("GET", "/services/statuses/7"),
        await client.post("/api/v1/sessions/create", content=b"-"),
    ]
    for refusal in refusals:
        target, _, anchor = refusal.json()["help"].partition("#")
        assert anchor in (await page(client, target)).ids


async def test_page_of_a_real_path_is_that_of_its_pattern(client: Client) -> None:
    answer = await client.get_page("/documentation/services/statuses/7")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/documentation/services/statuses/%7Bid%3Aint%7D"


async def test_routes_of_one_path_link_each_other(client: Client) -> None:
    path = "/documentation/services/statuses/%7Bid%3Aint%7D"
    shown = await page(client, f"{path}?method=PUT")
    assert "Update a status" in shown.root.text
    assert {f"{path}?method=GET", f"{path}?method=DELETE"} <= set(shown.links())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("order_stages", "/documentation/api/v1/order_stages/create"),
        ("delivery_rush", "/documentation/api/v1/order_stages/create"),
        ("email-already-registered", "/documentation/api/v1/clients/register"),
        ("INSERTS rows", "/documentation/api/v1/order_stages/create"),
    ],
    ids=["name", "nested param", "own status", "words of the description"],
)
async def test_search_finds_routes_by(client: Client, query: str, found: str) -> None:
    assert found in (await page(client, f"/documentation?q={query}")).links()


async def test_search_without_a_result_suggests_a_known_word(client: Client) -> None:
    shown = await page(client, "/documentation?q=apointments")
    assert "/documentation?q=appointments" in shown.links()


@pytest.mark.parametrize("path", ["/documentation", "/documentation/api/v1/order_stages/create"])
async def test_page_is_found_with_a_slash_at_its_end(client: Client, path: str) -> None:
    answer = await client.get_page(f"{path}/")
    assert (answer.status_code, answer.headers["location"]) == (307, path)


async def test_unknown_page_suggests_routes_with_its_words(client: Client) -> None:
    shown = await page(client, "/documentation/api/v1/order_stages/crate", 404)
    assert "route-non-existent" in shown.root.text


HOSTILE = """
version: 1
namespace: hostile
services:
  things: {kind: python, deployed: true, title: "<script>alert(1)</script>"}
routes:
  things.create:
    method: POST
    deployed: false
    title: "<img src=x onerror=alert(1)>"
    description: "`<b>` and <b>bold</b> and [a](javascript:alert(1))"
    deprecated: 2026-11-01
    sunset: 2027-11-01
    auth: [session]
    params:
      properties:
        "\\" onfocus=alert(1)": {type: string, description: "<script>", enum: ["<i>"]}
    statuses: {"too-late": {http: 409, meaning: "<u>late</u>"}}
  things.hidden:
    {method: POST, deployed: true, title: Hidden, auth: [session], documented: false, params: {}}
"""


async def apply_text(database: str, text: str, folder: Path) -> None:
    """Apply a manifest to a database."""
    file = folder / "routes.yaml"
    file.write_text(text)
    [desired] = check(file)
    await on(database, lambda connection: apply(connection, desired, Author("tests")))


async def test_page_escapes_every_text_of_a_record(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    await apply_text(database, HOSTILE, tmp_path)
    async with serving(database, tokens) as client:
        for path in ("/documentation", "/documentation/api/v1/things/create"):
            shown = await page(client, path)
            assert len(shown.root.all("script")) == 1
            assert not (shown.root.all("img"))
            assert not (shown.root.all("b"))
            assert not (shown.root.all("u"))
            assert not [a for a in shown.links() if a.startswith("javascript")]
        text = (await page(client, "/documentation/api/v1/things/create")).root.text
        assert "not deployed" in text
        assert "deprecated since 2026-11-01; it may stop working on 2027-11-01" in text


async def test_undocumented_route_has_no_page(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    await apply_text(database, HOSTILE, tmp_path)
    async with serving(database, tokens) as client:
        await page(client, "/documentation/api/v1/things/hidden", 404)
        assert "Hidden" not in (await page(client, "/documentation?q=things")).root.text


async def test_older_revision_shows_the_route_as_it_was_and_what_changed(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    await apply_text(database, HOSTILE, tmp_path)
    changed = HOSTILE.replace("auth: [session]\n    params", "auth: [application]\n    params")
    await apply_text(database, changed.replace("<img src=x onerror=alert(1)>", "New"), tmp_path)
    async with serving(database, tokens) as client:
        table = client.worker.registry.current
        assert table
        path = "/documentation/api/v1/things/create"
        shown = await page(client, f"{path}?revision={table.revision - 1}")
        assert "session token" in shown.root.text
        assert f"revision {table.revision}" in shown.root.text
        assert 'title: "<img src=x onerror=alert(1)>" -> "New"' in shown.root.text
        await page(client, f"{path}?revision=1", 404)
        await page(client, f"{path}?revision=9999999999999999999999", 404)
        assert (
            "has not changed since"
            in (await page(client, f"{path}?revision={table.revision}")).root.text
        )


async def test_pages_need_no_database_and_the_history_says_that_it_does(client: Client) -> None:
    for pool in client.worker._pools:
        await pool.close()
    assert "Order Stages Create API" in (await page(client, CREATE)).root.text
    assert "history is not available" in (await page(client, f"{CREATE}?revision=1", 503)).root.text


async def test_pages_load_nothing_from_elsewhere_and_cannot_be_framed(client: Client) -> None:
    answer = await client.get_page("/documentation")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    sources = [*Page(answer.text).root.all("script"), *Page(answer.text).root.all("link")]
    targets = [s.attributes.get("src") or s.attributes["href"] for s in sources]
    assert all(target.startswith(("/-/static/", "data:")) for target in targets)
    for target in targets:
        if target.startswith("/"):
            file = await client.get_page(target)
            assert file.status_code == 200
            assert "immutable" in file.headers["cache-control"]


async def test_documentation_off_hides_pages_and_help(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, documentation="off") as client:
        assert (await client.post("/documentation", {})).json()["status"] == "route-non-existent"
        assert "help" not in (await client.create_stage(stage=...)).json()


async def test_many_pages_at_once_make_one_search_index(client: Client) -> None:
    answers = await asyncio.gather(*(client.get_page("/documentation?q=order") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
