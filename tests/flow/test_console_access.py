"""Who may enter the console, and which forms it takes."""

import pytest
from support.console import CONSOLE, EMPLOYEE, NOTIFICATION, Console, signed_in, visiting
from support.harness import Client, execute, serving, until

from gateway.identity import tokens
from gateway.pages.console import access


async def resolve(console: Console, client: Client) -> int:
    """Try to resolve a new notification; return the code of the answer."""
    await execute(client.database_url, "delete from gateway.notifications")
    await execute(client.database_url, NOTIFICATION)
    [row] = await execute(client.database_url, "select id from gateway.notifications")
    return (await console.act(f"/notifications/{row['id']}/resolve")).status_code


async def test_console_sends_anybody_else_to_the_form_and_back(client: Client) -> None:
    async with visiting(client.worker) as console:
        for path in ("", "/notifications", "/notifications?kind=x", "/workers", "/events"):
            response = await console.get(path)
            assert response.status_code == 303, path
            assert response.headers["location"].startswith(f"{CONSOLE}/sign-in"), path
        wanted = (await console.get("/notifications?kind=x")).headers["location"]
        token = await console.form_token("/sign-in")
        where = wanted.removeprefix(CONSOLE)
        response = await console.post(where, token, email=EMPLOYEE, password="demo-password")
        assert response.headers["location"] == f"{CONSOLE}/notifications?kind=x"


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/-/consoleevil"])
async def test_console_never_leads_to_another_site(client: Client, wanted: str) -> None:
    async with signed_in(client.worker) as console:
        response = await console.get(f"/sign-in?next={wanted}")
        assert response.headers["location"] == CONSOLE


@pytest.mark.parametrize(
    ("email", "password", "code"),
    [
        (EMPLOYEE, "qwertyuiop", 401),
        ("unknown@example.com", "demo-password", 401),
        ("client@example.com", "demo-password", 403),
        ("liaison@example.com", "demo-password", 403),
        (EMPLOYEE, "demo-password", 303),
    ],
)
async def test_console_lets_in_employees_with_the_permission(
    client: Client, email: str, password: str, code: int
) -> None:
    async with visiting(client.worker) as console:
        response = await console.sign_in(email, password)
        assert response.status_code == code
        assert ((await console.get()).status_code == 200) == (code == 303)
        assert password not in response.text


async def test_console_refuses_an_employee_without_the_permission(client: Client) -> None:
    await execute(client.database_url, "update gateway.users set permissions = '{}'")
    async with visiting(client.worker) as console:
        assert (await console.sign_in()).status_code == 403


async def test_console_cookie_is_for_the_console_alone(client: Client) -> None:
    async with visiting(client.worker) as console:
        token = await console.form_token("/sign-in")
        fields = {"form": token, "email": EMPLOYEE, "password": "demo-password"}
        headers = {"sec-fetch-site": "same-origin", "x-forwarded-proto": "https"}
        response = await console.http.post(f"{CONSOLE}/sign-in", data=fields, headers=headers)
        [cookie] = [
            value
            for value in response.headers.get_list("set-cookie")
            if value.startswith(f"{access.COOKIE}=")
        ]
        for attribute in ("HttpOnly", "Path=/-/console", "SameSite=strict", "Secure"):
            assert attribute in cookie


async def test_console_cookies_of_two_ports_of_a_host_are_apart(client: Client) -> None:
    async with visiting(client.worker) as console:
        console.http.base_url = "http://localhost:8001"
        assert (await console.sign_in()).status_code == 303
        console.http.base_url = "http://localhost:8011"
        # Browsers send the cookies of one port to the other.
        assert (await console.get()).status_code == 303
        assert (await console.sign_in()).status_code == 303
        assert (await console.get()).status_code == 200
        console.http.base_url = "http://localhost:8001"
        assert (await console.get()).status_code == 200


async def test_console_sign_out_without_the_database_still_leaves_the_browser(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with signed_in(client.worker) as console:
        await console.page()
        token = await console.form_token("")
        monkeypatch.setattr(client.worker.database.availability, "report_up", lambda _: None)
        for pool in client.worker._pools:
            pool.mark_down("taken away by the test")
        response = await console.post("/sign-out", token)
        assert response.status_code == 503
        assert "This browser no longer has it" in response.text
        assert not console.http.cookies
        assert (await console.get()).status_code == 303


async def test_console_is_found_with_a_slash_at_its_end(client: Client) -> None:
    async with visiting(client.worker) as console:
        for path in ("/", f"{CONSOLE}/"):
            response = await console.http.get(path)
            assert (response.status_code, response.headers["location"]) == (308, CONSOLE)


async def test_console_session_is_refused_by_the_api_and_the_other_way_round(
    client: Client, tokens: dict[str, str]
) -> None:
    async with signed_in(client.worker) as console:
        token = console.http.cookies[access.COOKIE]
        assert (await client.create_stage(token=token, order_id=7)).json()["status"] == (
            "invalid-token"
        )
    async with visiting(client.worker) as console:
        console.http.cookies.set(access.COOKIE, tokens["employee"], path=CONSOLE)
        assert (await console.get()).status_code == 303


async def test_console_sign_in_makes_a_token_that_the_browser_never_had(client: Client) -> None:
    async with signed_in(client.worker) as console:
        planted = console.http.cookies[access.COOKIE]
    async with visiting(client.worker) as victim:
        await execute(client.database_url, "update gateway.sessions set revoked_at = now()")
        await until(lambda: not client.worker.console.store.remembered(planted))
        victim.http.headers["cookie"] = f"{access.COOKIE}={planted}"
        form = (await victim.get("/sign-in")).cookies[access.SIGN_IN_FORM]
        victim.http.headers["cookie"] += f"; {access.SIGN_IN_FORM}={form}"
        fields = {"email": EMPLOYEE, "password": "demo-password"}
        response = await victim.post("/sign-in", form, **fields)
        assert response.status_code == 303
        assert response.cookies[access.COOKIE] != planted


async def test_console_sign_out_ends_the_session_at_once(client: Client) -> None:
    async with signed_in(client.worker) as console:
        token = console.http.cookies[access.COOKIE]
        assert (await console.act("/sign-out")).status_code == 303
        console.http.cookies.set(access.COOKIE, token, path=CONSOLE)
        assert (await console.get()).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        "update gateway.sessions set revoked_at = now()",
        "update gateway.users set permissions = '{}'",
        "update gateway.users set disabled_at = now()",
        "delete from gateway.employees",
    ],
)
async def test_console_session_ends_with_what_it_rests_on(client: Client, change: str) -> None:
    async with signed_in(client.worker) as console:
        token = console.http.cookies[access.COOKIE]
        assert (await console.get()).status_code == 200
        await execute(client.database_url, change)
        await until(lambda: not client.worker.console.store.remembered(token))
        assert (await console.get()).status_code == 303


async def test_console_looks_without_the_permission_to_act(client: Client) -> None:
    look = "update gateway.users set permissions = '{ops}' where id = 1"
    await execute(client.database_url, look)
    async with signed_in(client.worker) as console:
        await execute(client.database_url, NOTIFICATION)
        assert "read only" in (await console.get("/notifications")).text
        assert await resolve(console, client) == 403
        [row] = await execute(client.database_url, "select resolved_at from gateway.notifications")
        assert row["resolved_at"] is None


async def test_console_acts_in_the_name_of_the_operator(client: Client) -> None:
    async with signed_in(client.worker) as console:
        assert await resolve(console, client) == 303
        [row] = await execute(client.database_url, "select * from gateway.notifications")
        assert row["resolved_by"] == EMPLOYEE


@pytest.mark.parametrize("forgery", ["no token", "another session's token", "another site"])
async def test_console_refuses_a_forged_form(client: Client, forgery: str) -> None:
    async with signed_in(client.worker) as console, signed_in(client.worker) as other:
        token = await console.form_token("")
        site = "same-origin"
        if forgery == "no token":
            token = ""
        elif forgery == "another session's token":
            token = await other.form_token("")
        else:
            site = "cross-site"
        response = await console.post("/sign-out", token, site)
        assert response.status_code == 403
        assert (await console.get()).status_code == 200


async def test_console_sign_in_form_needs_its_cookie(client: Client) -> None:
    async with visiting(client.worker) as console:
        token = await console.form_token("/sign-in")
        console.http.cookies.clear()
        fields = {"email": EMPLOYEE, "password": "demo-password"}
        assert (await console.post("/sign-in", token, **fields)).status_code == 403


async def test_console_looks_in_an_outage_and_refuses_a_confirmation_of_any_other_text(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with signed_in(client.worker) as console:
        await console.page()
        confirmed = console.http.cookies[access.CONFIRMED]
        token = console.http.cookies[access.COOKIE]
        client.worker.console.store.cache.forget(tokens.digest(token))
        monkeypatch.setattr(client.worker.database.availability, "report_up", lambda _: None)
        for pool in client.worker._pools:
            pool.mark_down("taken away by the test")
        response = await console.get()
        assert response.status_code == 200
        assert access.CONFIRMED not in response.cookies
        other = [
            f"{confirmed}x",
            confirmed.partition(".")[0],
            "x.y",
            "é.é".encode().decode("latin-1"),
        ]
        for text in other:
            console.http.cookies.clear()
            cookie = f"{access.COOKIE}={token}; {access.CONFIRMED}={text}"
            response = await console.get(headers={"cookie": cookie.encode("latin-1")})
            assert response.status_code == 303, text


async def test_page_number_of_thousands_of_digits_is_the_first_page(client: Client) -> None:
    async with signed_in(client.worker) as console:
        for path in ("/revisions", "/outbox"):
            await console.page(f"{path}?page={'9' * 5000}")


async def test_console_refuses_a_form_that_is_too_large(client: Client) -> None:
    async with signed_in(client.worker) as console:
        token = await console.form_token("")
        large = "x" * (access.MAX_FORM + 1)
        assert (await console.post("/sign-out", token, more=large)).status_code == 403


async def test_console_limits_the_attempts_as_a_log_in_does(
    database: str, tokens: dict[str, str]
) -> None:
    async with (
        serving(database, tokens, account_guesses="2") as client,
        visiting(client.worker) as console,
    ):
        codes = [(await console.sign_in(password="wrong")).status_code for _ in range(3)]
        assert codes == [401, 401, 429]
        refused = await console.sign_in()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
